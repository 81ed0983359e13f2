/**
 * The text of a function without what changes nothing: comments, and space that only lays it out.
 *
 * Invariant: texts that mean different things stay different. Strings, templates and regular expressions are kept as they
 * are; so is a line's end where JavaScript ends a statement by it, and space between what would otherwise grow together.
 */

/** What `Function.prototype.toString` gives, without comments and layout. */
export function bareSource(source: string): string {
  const scan: Scan = { source, at: 0, out: [], last: "" };
  while (scan.at < source.length) step(scan);
  return scan.out.join("");
}

interface Scan {
  readonly source: string;
  at: number;
  readonly out: string[];
  /** The last token that was kept. */
  last: string;
}

const space = /(?:\s|\/\/[^\n\r\u2028\u2029]*|\/\*[^]*?\*\/)+/y;
const word = /[\p{ID_Continue}$#]+/uy;
const text = /'(?:\\[^]|[^'\\])*'|"(?:\\[^]|[^"\\])*"/y;
const regex = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y;
const wordEnd = /[\p{ID_Continue}$#]$/u;
const wordStart = /^[\p{ID_Continue}$#]/u;
/** After these a line's end is the statement's end. */
const endsWithLine = /^(?:return|break|continue|throw|yield|async)$/;
/** After these words a slash begins a regular expression. */
const beforeRegex = /^(?:return|typeof|case|in|of|delete|void|throw|new|instanceof|do|else|yield|await)$/;

function step(scan: Scan): void {
  const blank = match(scan, space);
  if (blank !== undefined) return keepSpace(scan, blank);
  const letter = scan.source.charAt(scan.at);
  if (letter === "`") return takeTemplate(scan);
  const whole = match(scan, word) ?? match(scan, text) ?? (slashIsRegex(scan.last) ? match(scan, regex) : undefined);
  keep(scan, whole ?? letter);
  if (whole === undefined) scan.at++;
}

function match(scan: Scan, pattern: RegExp): string | undefined {
  pattern.lastIndex = scan.at;
  const [found] = pattern.exec(scan.source) ?? [];
  if (found !== undefined) scan.at += found.length;
  return found;
}

function keep(scan: Scan, token: string): void {
  scan.out.push(token);
  scan.last = token;
}

function keepSpace(scan: Scan, blank: string): void {
  const next = scan.source.slice(scan.at, scan.at + 2);
  const line = /[\n\r\u2028\u2029]/.test(blank);
  if (line && (endsWithLine.test(scan.last) || next === "++" || next === "--")) return void scan.out.push("\n");
  const grows = wordEnd.test(scan.last) && wordStart.test(next);
  const sign = /[+-]$/.test(scan.last) && /^[+-]/.test(next);
  if (grows || sign) scan.out.push(" ");
}

function slashIsRegex(last: string): boolean {
  if (wordEnd.test(last)) return beforeRegex.test(last);
  return last !== ")" && last !== "]" && last !== "}" && !/["'`]$/.test(last);
}

/** A template as it is, with all that stands in its `${}`: space there is not worth telling from the text's own. */
function takeTemplate(scan: Scan): void {
  const from = scan.at;
  const open: ("text" | "code")[] = [];
  do {
    if (open.at(-1) === "text") passText(scan, open);
    else passCode(scan, open);
  } while (open.length > 0 && scan.at < scan.source.length);
  keep(scan, scan.source.slice(from, scan.at));
}

function passText(scan: Scan, open: ("text" | "code")[]): void {
  const letter = scan.source.charAt(scan.at);
  if (letter === "`") open.pop();
  const opens = scan.source.startsWith("${", scan.at);
  if (opens) open.push("code");
  scan.at += opens || letter === "\\" ? 2 : 1;
}

function passCode(scan: Scan, open: ("text" | "code")[]): void {
  if (match(scan, text) !== undefined) return;
  const letter = scan.source.charAt(scan.at);
  if (letter === "`") open.push("text");
  else if (letter === "{") open.push("code");
  else if (letter === "}") open.pop();
  scan.at++;
}
