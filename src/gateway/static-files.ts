/**
 * Serves a built page from one directory.
 *
 * Invariant: only regular files inside the directory are read, after links are resolved; names that start with a dot,
 * hold a backslash, a NUL or an escape that decodes to a separator are nobody's. The page may load only what comes from
 * here, and connect to this service's doors only.
 */
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, sep } from "node:path";
import { pipeline } from "node:stream";
import type { DoorList } from "./doors.ts";

const types: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".mjs", "text/javascript; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".json", "application/json"],
  [".map", "application/json"],
  [".webmanifest", "application/manifest+json"],
  [".svg", "image/svg+xml"],
  [".png", "image/png"],
  [".jpg", "image/jpeg"],
  [".webp", "image/webp"],
  [".ico", "image/x-icon"],
  [".woff2", "font/woff2"],
  [".txt", "text/plain; charset=utf-8"],
  [".wasm", "application/wasm"],
  [".mp3", "audio/mpeg"],
  [".ogg", "audio/ogg"],
]);

/** @param sources what the page may connect to beside where it comes from */
function pagePolicy(sources: string): string {
  return `default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'${sources}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`;
}

/** Names that a bundler gives after the content never change it. */
const hashed = /[.-][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;

interface Found {
  readonly path: string;
  readonly bytes: number;
  readonly tag: string;
}

export class StaticFiles {
  readonly #root: string;
  readonly #doors: DoorList | undefined;

  private constructor(root: string, doors: DoorList | undefined) {
    this.#root = root;
    this.#doors = doors;
  }

  /** @throws Error the directory does not exist */
  static async open(directory: string, doors?: DoorList): Promise<StaticFiles> {
    return new StaticFiles(await realpath(directory), doors);
  }

  /** Answers a GET or HEAD. @returns false: there is no such file, and nothing was answered */
  async serve(path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const parts = split(path);
    if (parts === undefined) return false;
    // A path without an extension is a place within the page.
    const name = parts.length === 0 || extname(parts.at(-1) as string) === "" ? "index.html" : join(...parts);
    const found = await this.#find(name);
    if (found === undefined) return false;
    this.#answer(found, request, response);
    return true;
  }

  async #find(name: string): Promise<Found | undefined> {
    try {
      const path = await realpath(join(this.#root, name));
      if (!path.startsWith(this.#root + sep)) return undefined;
      const facts = await stat(path);
      if (!facts.isFile() || !types.has(extname(path))) return undefined;
      return { path, bytes: facts.size, tag: `"${facts.size.toString(36)}-${Math.floor(facts.mtimeMs).toString(36)}"` };
    } catch {
      return undefined;
    }
  }

  #answer(found: Found, request: IncomingMessage, response: ServerResponse): void {
    const extension = extname(found.path);
    response.setHeader("ETag", found.tag);
    response.setHeader(
      "Cache-Control",
      extension !== ".html" && hashed.test(found.path) ? "public, max-age=31536000, immutable" : "no-cache",
    );
    response.setHeader("Content-Security-Policy", pagePolicy(this.#doors?.sources ?? ""));
    response.setHeader("Content-Type", types.get(extension) as string);
    if (request.headers["if-none-match"] === found.tag) {
      response.statusCode = 304;
      response.end();
      return;
    }
    response.setHeader("Content-Length", found.bytes);
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    // Exactly the bytes announced, should the file be growing; if it shrank the connection breaks, which tells the truth.
    if (found.bytes === 0) response.end();
    else pipeline(createReadStream(found.path, { end: found.bytes - 1 }), response, () => {});
  }
}

/** The names in a path, decoded once; undefined if one of them could mean something else to a file system. */
function split(path: string): string[] | undefined {
  const parts: string[] = [];
  for (const part of path.split("/").slice(1)) {
    let name: string;
    try {
      name = decodeURIComponent(part);
    } catch {
      return undefined;
    }
    if (name === "" && parts.length === 0) continue;
    if (name === "" || name.startsWith(".") || /[/\\:\0]/.test(name)) return undefined;
    parts.push(name);
  }
  return parts;
}
