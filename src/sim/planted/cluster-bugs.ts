/** Bugs that clusters like this one had, or nearly had. */
import { bugIn, edit, type PlantedBug } from "./planted-bug.ts";

const bug = bugIn("cluster");

const writers: readonly PlantedBug[] = [
  bug(
    "standby-claims-at-reread-tail",
    "a standby claims at a tail that it asked for, not at the one it replayed to",
    edit(
      "runtime/shard-roles.ts",
      '    const { epoch, tail } = host.owner;\n    host.step({ kind: "recovered"',
      "    const { epoch, tail } = (await log.tail([host.shard]))[0];\n" +
        "    host.owner.tail = host.owner.cut = host.owner.durable = tail;\n" +
        '    host.step({ kind: "recovered"',
    ),
  ),
  bug(
    "log-of-the-cluster-without-fence",
    "the log takes what an owner of before appends",
    edit("ports/log-fence.ts", "  if (append.at !== tail) return false;", ""),
    edit("ports/log-fence.ts", "append.epoch > epoch : append.epoch === epoch", "true : true"),
  ),
  bug(
    "handoff-before-flush",
    "an owner hands its shard over while a frame is on its way",
    edit(
      "runtime/shard-roles.ts",
      "while (!isOver() && (owner.durable < owner.tail || host.underway !== undefined))",
      "while (false)",
    ),
  ),
  bug(
    "old-generation-obeyed",
    "what is meant for one running of a node is done by the next one",
    edit(
      "model/cluster.ts",
      "one?.node === other?.node && one?.generation === other?.generation",
      "one?.node === other?.node",
    ),
  ),
  bug(
    "coordinator-without-token",
    "who was the coordinator still writes",
    edit(
      "runtime/cluster/coordinator-host.ts",
      ".assign(asked, { name: leaseName, token: holding.token })",
      ".assign(asked)",
    ),
  ),
  bug(
    "lost-member-goes-on",
    "a node that is no member any more goes on as if it were",
    edit("runtime/cluster/membership.ts", "        return lost();", "        return;"),
  ),
];

const standbys: readonly PlantedBug[] = [
  bug(
    "standby-skips-a-gap",
    "a standby takes the next frame that it is fed, whatever is missing before it",
    edit(
      "runtime/shard-roles.ts",
      "    if (at !== host.owner.tail) return false;",
      "    if (at !== host.owner.tail) {\n      host.owner.tail = host.owner.cut = host.owner.durable = at;\n      host.chain = undefined;\n    }",
    ),
  ),
  bug(
    "standby-never-reads",
    "what a standby was not pushed it never reads",
    edit("runtime/cluster/following.ts", "    followed.filling = true;\n", "    return;\n"),
  ),
  bug(
    "circle-of-reads",
    "a standby that is being claimed reads its log again and again",
    edit("runtime/cluster/following.ts", "(followed.durable <= tail || tail === before)", "followed.durable <= tail"),
  ),
];

const callers: readonly PlantedBug[] = [
  bug(
    "query-not-confirmed",
    "an owner answers queries without asking the log whether it still is one",
    edit(
      "runtime/cluster/cluster-service.ts",
      '          this.#confirmer.confirm(shard, epoch, (standing) =>\n            done(standing === "holds" ? result : notConfirmed[standing]),\n          );',
      "          done(result);",
    ),
  ),
  bug(
    "query-confirmed-by-an-earlier-look",
    "a query is confirmed by a look at the log that began before it",
    edit("runtime/cluster/confirmer.ts", "      const asked = this.#next;\n      this.#next = [];\n", ""),
    edit("runtime/cluster/confirmer.ts", "new Set(asked.map(", "new Set(this.#next.map("),
    edit(
      "runtime/cluster/confirmer.ts",
      "      for (const { shard, epoch, told } of asked)",
      "      const asked = this.#next;\n      this.#next = [];\n      for (const { shard, epoch, told } of asked)",
    ),
  ),
  bug(
    "fenced-owner-is-not-told",
    "an owner that a look at the log finds to be past goes on until it appends",
    edit(
      "runtime/cluster/confirmer.ts",
      "        if (known !== undefined && known > epoch) this.#fenced(shard, epoch);\n",
      "",
    ),
  ),
  bug(
    "silence-of-the-log-is-a-fence",
    "a query that the log does not confirm, since it is away, is answered as if another owned the shard",
    edit("runtime/cluster/confirmer.ts", 'known === undefined ? "unknown" : ', ""),
  ),
  bug(
    "repeat-with-a-new-id",
    "a call whose owner was lost is repeated under another request id",
    edit(
      "runtime/cluster/router.ts",
      "    if (waiting.repeatable) this.#again(waiting);",
      '    if (waiting.ask.verb === "execute") {\n' +
        "      const { call } = waiting.ask;\n" +
        '      const end = call.requestId.endsWith("0") ? "1" : "0";\n' +
        '      waiting.ask = { verb: "execute", call: { ...call, requestId: call.requestId.slice(0, -1) + end } };\n' +
        "    }\n" +
        "    if (waiting.repeatable) this.#again(waiting);",
    ),
  ),
  bug(
    "answered-twice",
    "a call that had waited for an owner is also given up when its time is over",
    edit(
      "runtime/cluster/router.ts",
      "    if (all === undefined || index < 0) return;\n    all.splice(index, 1);",
      '    if (all === undefined) return void waiting.done(this.#failure(waiting, ""));\n    all.splice(index, 1);',
    ),
  ),
  bug(
    "lost-peer-leaves-calls",
    "calls at a peer whose connection ended are never answered",
    edit("runtime/cluster/peers.ts", '    for (const answered of asked) answered({ kind: "lost" });', ""),
  ),
  bug(
    "watch-goes-back",
    "a watch shows whatever its present owner shows",
    edit("runtime/cluster/watches.ts", "      if (news.version <= watched.version) return;\n", ""),
  ),
  bug(
    "watch-stays-with-the-lost",
    "a watch at a peer whose connection ended is not begun elsewhere",
    edit("runtime/cluster/watches.ts", "    for (const watched of remote?.values() ?? []) this.#wait(watched);", ""),
  ),
];

const sends: readonly PlantedBug[] = [
  bug(
    "sends-never-again",
    "a send whose receiver could not be reached is not tried again",
    edit(
      "runtime/cluster/remote-sends.ts",
      "    later(() => {",
      "    if (from !== undefined) return;\n    later(() => {",
    ),
  ),
  bug(
    "settlements-stay-here",
    "a sender elsewhere is not told what became of its send",
    edit("runtime/cluster/remote-sends.ts", '    case "settle":\n', '    case "settle":\n      return undefined;\n'),
  ),
];

export const clusterBugs: readonly PlantedBug[] = [...writers, ...standbys, ...callers, ...sends];
