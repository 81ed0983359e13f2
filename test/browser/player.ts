/**
 * A person at the page: a browser context of its own, who clicks, types and looks.
 *
 * Invariant: knows only what stands in the document; nothing is read from the page's code or from the server.
 */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";

const shots = fileURLToPath(new URL("../../artefacts/browser/", import.meta.url));

export type Size = { width: number; height: number };

/** What a look at the table shows. */
export type Look = {
  hand: number;
  phase: string;
  seat: number | null;
  moves: string[];
  ownCards: number[];
  /** Cards face up at other seats. */
  othersCards: number[];
  cardCounts: number[];
  chips: string[];
  result: string | null;
  reconnecting: boolean;
};

export class Player {
  readonly name: string;
  readonly page: Page;
  readonly problems: string[] = [];
  readonly #context: BrowserContext;

  private constructor(name: string, context: BrowserContext, page: Page) {
    this.name = name;
    this.page = page;
    this.#context = context;
    page.on("pageerror", (error) => this.problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(message.text());
    });
  }

  /** `still`: asked the system for less movement. */
  static async open(browser: Browser, name: string, viewport: Size, still = false): Promise<Player> {
    const context = await browser.newContext({ viewport, reducedMotion: still ? "reduce" : "no-preference" });
    context.setDefaultTimeout(15_000);
    return new Player(name, context, await context.newPage());
  }

  /** From the front door to the lobby. */
  async enter(url: string): Promise<void> {
    await this.page.goto(url);
    await this.on("name-input").fill(this.name);
    await this.on("enter").click();
    await this.on("lobby").waitFor();
  }

  async sit(table: string): Promise<void> {
    await this.on(`table-${table}`).click();
    await this.on("take-seat").click();
    await this.on("buy-in-confirm").click();
    await this.page.locator(".seat[data-own] .plate").waitFor();
  }

  on(testid: string) {
    return this.page.getByTestId(testid);
  }

  look(): Promise<Look> {
    return this.page.evaluate(readTable);
  }

  /** Looks again and again until it is as wanted. */
  async until(what: string, wanted: (look: Look) => boolean, msMax = 40_000): Promise<Look> {
    const end = performance.now() + msMax;
    for (;;) {
      const look = await this.look();
      if (wanted(look)) return look;
      if (performance.now() > end) throw new Error(`${this.name} never saw ${what}; last: ${JSON.stringify(look)}`);
      await this.page.waitForTimeout(60);
    }
  }

  /** A move by mouse. The turn may pass while the mouse moves; then nothing happens, which is what the page promises. */
  async press(move: string): Promise<void> {
    await this.page
      .locator(`[data-testid="${move}"][aria-disabled="false"]`)
      .click({ timeout: 1_500 })
      .catch(() => {});
  }

  async shoot(name: string): Promise<void> {
    mkdirSync(shots, { recursive: true });
    await this.page.screenshot({ path: `${shots}${name}.png` });
  }

  /** By how many pixels the page is wider than the window, or something in it stands out; 0 is right. */
  overhang(): Promise<number> {
    return this.page.evaluate(() => {
      const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      const controls = [...document.querySelectorAll("button, input, select, a")].map((of) =>
        of.getBoundingClientRect(),
      );
      const out = controls.map((box) => (box.width === 0 ? 0 : Math.max(box.right - innerWidth, -box.left)));
      const scrolled = [...document.querySelectorAll(".boots button")].length;
      return Math.round(Math.max(wide, ...(scrolled > 0 ? [0] : out), 0));
    });
  }

  async close(): Promise<void> {
    await this.#context.close();
  }
}

/** Runs in the page. */
function readTable(): Look {
  const stage = document.querySelector<HTMLElement>(".stage");
  const own = document.querySelector<HTMLElement>(".seat[data-own]");
  const numbers = (cards: Iterable<Element>): number[] =>
    [...cards].map((of) => Number((of as HTMLElement).dataset["card"]));
  const up = [...document.querySelectorAll(".seat [data-card]")];
  return {
    hand: Number(stage?.dataset["hand"] ?? -1),
    phase: stage?.dataset["phase"] ?? "",
    seat: own === null ? null : Number(own.dataset["testid"]?.slice(5)),
    moves: [...document.querySelectorAll<HTMLElement>('.move[aria-disabled="false"]')].map(
      (of) => of.dataset["testid"] ?? "",
    ),
    ownCards: numbers(up.filter((of) => of.closest(".seat") === own)),
    othersCards: numbers(up.filter((of) => of.closest(".seat") !== own)),
    cardCounts: [...document.querySelectorAll(".fan")].map((of) => of.querySelectorAll(".card").length),
    chips: [...document.querySelectorAll(".seat")]
      .sort((a, b) =>
        String((a as HTMLElement).dataset["testid"]).localeCompare(String((b as HTMLElement).dataset["testid"])),
      )
      .map((of) => of.querySelector(".plate-chips")?.textContent ?? ""),
    result: document.querySelector(".result-amount")?.textContent ?? null,
    reconnecting: document.querySelector('[data-testid="banner"][data-shown]') !== null,
  };
}
