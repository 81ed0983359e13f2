/**
 * Plants one bug: changes the source of the code under test while it is loaded. Given to Node by `--import`, with the
 * bug's name in HOLDFAST_PLANTED. No file is changed, and no build has any of it.
 *
 * Invariant: every edit's text stands exactly once in its file, or loading fails; so a bug cannot silently not be there.
 */
import { registerHooks } from "node:module";
import { bugs } from "./bugs.ts";

const name = process.env["HOLDFAST_PLANTED"];
const bug = bugs.find((candidate) => candidate.name === name);
if (bug === undefined) throw new Error(`There is no planted bug "${name}".`);

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const edits = bug.edits.filter(({ file }) => url.endsWith(`/src/${file}`));
    if (edits.length === 0) return loaded;
    let source =
      typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source ?? undefined);
    for (const { file, find, put } of edits) {
      const count = source.split(find).length - 1;
      if (count !== 1)
        throw new Error(`Planted bug "${bug.name}": its text stands ${count} times in ${file}, not once.`);
      source = source.replace(find, () => put);
    }
    return { ...loaded, source };
  },
});
