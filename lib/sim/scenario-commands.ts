/**
 * The commands of scenario files, each described once: how it is written, what it does, and its doing on a `Stage`.
 * `fixtures/scenarios/README.md` lists them; a test holds the list to this table.
 */
import type { Policy } from "../protocol/messages.ts";
import { formatView } from "../protocol/ids.ts";
import { formatScript, parseScript, type Command } from "./scenario-script.ts";
import { Stage, timing, type Detail } from "./scenario-stage.ts";
import { namesIn, pidsOf, standingText, together } from "./scenario-text.ts";

interface CommandKind {
  readonly usage: string;
  readonly says: string;
  /** How long the cluster then runs by itself, so that what was begun comes to its end. */
  readonly settleMs: number;
  readonly run: (stage: Stage, words: readonly string[]) => void;
}

/** Long enough for a few messages and syncs, shorter than a heartbeat. */
const settleMs = 20;

const act = (usage: string, says: string, run: CommandKind["run"]): CommandKind => ({ usage, says, settleMs, run });
/** One that takes no time: several of them happen at once. */
const now = (usage: string, says: string, run: CommandKind["run"]): CommandKind => ({ usage, says, settleMs: 0, run });
const each = (words: readonly string[]): number[] => words.map(pidOf);

export const commands: Readonly<Record<string, CommandKind>> = {
  found: act("found", "everyone starts, and they found the cluster; told in one line", (stage) => {
    const { detail } = stage;
    stage.detail = "nothing";
    for (const node of stage.nodes) node.start();
    const pids = stage.nodes.map(({ pid }) => pid);
    stage.until("founded", () => stage.serve(pids));
    stage.taken();
    stage.run(timing.heartbeatMs);
    const { view, members } = stage.node(1).standing ?? { view: 0, members: [] };
    stage.say(`${formatView(view)} ${pidsOf(members)}`);
    stage.detail = detail;
  }),
  show: now("show nothing|replicas|messages", "how much the transcript tells from here on", (stage, [detail]) => {
    if (detail !== "nothing" && detail !== "replicas" && detail !== "messages") throw new RangeError("show what?");
    stage.detail = detail satisfies Detail;
  }),
  start: act("start 1 2", "processes start", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).start();
  }),
  stop: act("stop 1", "is asked to stop, says goodbye, and ends", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).goodbye();
    stage.run(timing.heartbeatMs);
  }),
  crash: act("crash 1", "the process dies; its host answers that nobody listens", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).crash("process");
  }),
  power: act("power 1", "the machine loses power: silence, and what was not synced is gone", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).crash("power");
  }),
  doom: now("doom 1 promise|view|act N", "dies N effects after it next writes such a record", (stage, words) => {
    const [pid = "", kind = "", count = "0"] = words;
    if (kind !== "promise" && kind !== "view" && kind !== "act") throw new RangeError("doomed around what?");
    stage.node(pidOf(pid)).dieAround(kind, Number(count));
  }),
  pause: now("pause 1 MS", "the process stands still (SIGSTOP), and goes on", (stage, [pid = "", ms = ""]) => {
    stage.node(pidOf(pid)).pause(Number(ms));
  }),
  cut: now("cut 1>2 1-3", "nothing gets through, one way or both ways", (stage, words) => {
    for (const [from, to] of links(stage, words)) stage.cluster.network.cut(from, to, true);
  }),
  mend: now("mend 1>2 1-3", "it gets through again, also what was sent meanwhile", (stage, words) => {
    for (const [from, to] of links(stage, words)) stage.cluster.network.cut(from, to, false);
  }),
  narrow: now("narrow 1>2 1-3 BYTES", "it carries so many bytes a second; 0: as many as come", (stage, words) => {
    const bytesPerSecond = Number(words.at(-1));
    const { link } = stage.cluster.profile;
    const quality = bytesPerSecond === 0 ? link : { ...link, bytesPerSecond };
    for (const [from, to] of links(stage, words.slice(0, -1))) stage.cluster.network.quality(from, to, quality);
  }),
  hang: now("hang 1", "its disk does not answer", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).syncTakes(Infinity);
  }),
  unhang: act("unhang 1", "it does again", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).syncTakes(stage.cluster.profile.syncMs);
  }),
  slow: now("slow 1 MS", "its disk takes so long for a sync", (stage, [pid = "", ms = ""]) => {
    stage.node(pidOf(pid)).syncTakes(Number(ms));
  }),
  fail: now("fail 1 sync|write|short", "the next one fails", (stage, [pid = "", how = ""]) => {
    if (how !== "sync" && how !== "write" && how !== "short") throw new RangeError("what is to fail?");
    stage.node(pidOf(pid)).failDisk(how === "short" ? "short write" : how);
  }),
  wipe: now("wipe 1", "a replica that is down gets an empty disk", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).wipe();
  }),
  restore: now("restore 1", "a replica that is down gets the disk back that was replaced", (stage, words) => {
    for (const pid of each(words)) stage.node(pid).restore(false);
  }),
  rot: now(
    "rot 1 INDEX",
    "on the disk of a replica that is down a bit of this entry changes",
    (stage, [pid = "", index = ""]) => {
      stage.node(pidOf(pid)).rot(Number(index));
    },
  ),
  propose: act(
    "propose 1 a b c0..c9",
    "a client at 1 sends ops; a name sent before is the same op again; `c0..c9` are ten",
    (stage, [pid = "", ...names]) => {
      stage.propose(pidOf(pid), names.flatMap(namesIn));
    },
  ),
  hold: now(
    "hold 1>2 append",
    "keeps messages on their way (of any type but heartbeats, if none is named)",
    rule("hold"),
  ),
  lose: now("lose 1>2 append", "loses them", rule("lose")),
  double: now("double 1>2 append", "delivers them, and keeps a copy to deliver later", rule("double")),
  spoil: now("spoil 1>2 append", "changes a bit of the records, or of the state, in them", rule("spoil")),
  newcomer: act("newcomer", "one more replica starts, with a free pid, an empty log and two addresses", (stage) => {
    stage.cluster.addNewcomer();
  }),
  add: act("add 4 by 1", "an operator asks 1 to add 4", (stage, [pid = "", , by = ""]) => {
    stage.change(pidOf(by), { kind: "add", pid: pidOf(pid), address: `replica-${pid}:1538` });
  }),
  remove: act(
    "remove 3 by 1 [accept-loss]",
    "an operator asks 1 to remove 3",
    (stage, [pid = "", , by = "", accept]) => {
      stage.change(pidOf(by), { kind: "remove", pid: pidOf(pid), acceptLoss: accept === "accept-loss" });
    },
  ),
  let: now("let 1>2 append", "lifts the rules for them", (stage, words) => {
    const [link = "*>*", type = ""] = words;
    for (const [from, to] of links(stage, [link])) stage.lift(from, to, type);
  }),
  deliver: act("deliver 1>2 append", "delivers what is held", (stage, words) => deliver(stage, words)),
  drop: now("drop 1>2 append", "loses what is held", (stage, words) => {
    const [link = "*>*", type = ""] = words;
    let count = 0;
    for (const [from, to] of links(stage, [link])) count += stage.drop(from, to, type);
    stage.say(`${count} lost`);
  }),
  tick: now("tick MS", "time passes", (stage, [ms = ""]) => stage.run(Number(ms))),
  until: now("until serve 1 2 | acknowledged a | repaired 1 | down 1 | learner 1", "time passes until", until),
  state: now("state", "what each replica is", (stage) => {
    for (const node of stage.nodes) stage.say(standingText(node.pid, node.standing, node.paused));
  }),
  log: now("log 1 2", "the logical logs, a line a view (of all, if none is named)", (stage, words) => {
    const pids = words.length === 0 ? stage.nodes.map(({ pid }) => pid) : each(words);
    for (const line of together(pids.map((pid) => [pid, stage.logText(pid)]))) stage.say(line);
  }),
  applied: now("applied", "the ops that each state machine has applied, in order", (stage) => {
    for (const line of together(stage.nodes.map(({ pid }) => [pid, stage.appliedText(pid)]))) stage.say(line);
  }),
  end: now("end", "mends all, starts all: they must come together with every acknowledged op, once", (stage) => {
    stage.detail = "nothing";
    stage.end();
    const { view, members } = stage.node(1).standing ?? { view: 0, members: [] };
    stage.say(`all together in ${formatView(view)} ${pidsOf(members)}`);
    for (const line of together(stage.nodes.map(({ pid }) => [pid, stage.appliedText(pid)]))) stage.say(line);
  }),
};

export const clusterUsage = "cluster available|quorum 1 2 3 [recovery-wait=MS] [forks]";

/** What the header of a file says about it. */
export interface Story {
  /** Mistakes (of `lib/base/mistakes.ts`) with which this script must come to something else. */
  readonly catches: readonly string[];
}

export function readStory(text: string): Story {
  const line = /^# catches: (.*)$/m.exec(text)?.[1];
  return { catches: line === undefined ? [] : line.split(", ") };
}

/** Plays a script; returns it with what came of each group, and the output expected beside the actual. */
export function play(text: string): { readonly text: string; readonly groups: readonly Group[] } {
  const parts = parseScript(text);
  const groups: Group[] = [];
  let stage: Stage | null = null;
  let last = "";
  for (const part of parts) {
    if (part.type === "text") continue;
    const lines: string[] = [];
    for (const command of part.commands) {
      try {
        if (command.name === "cluster") stage = openStage(command.words);
        else run(stage, command);
      } catch (error) {
        throw new Error(`line ${command.line}, ${command.name}: ${error instanceof Error ? error.message : ""}`, {
          cause: error,
        });
      }
      lines.push(...(stage?.taken() ?? []));
      last = command.name;
    }
    groups.push({ source: part.source, expected: part.output, actual: lines.join("\n") || "ok" });
  }
  stage?.cluster.close();
  if (last !== "end") throw new Error("a scenario ends with the command end");
  return {
    text: formatScript(
      parts,
      groups.map(({ actual }) => actual),
    ),
    groups,
  };
}

export interface Group {
  readonly source: string;
  readonly expected: string;
  readonly actual: string;
}

function run(stage: Stage | null, { name, words }: Command): void {
  const kind = commands[name];
  if (stage === null) throw new Error(`a scenario begins with: ${clusterUsage}`);
  if (kind === undefined) throw new Error(`there is no such command; there are ${Object.keys(commands).join(", ")}`);
  kind.run(stage, words);
  if (kind.settleMs > 0) stage.run(kind.settleMs);
}

function openStage(words: readonly string[]): Stage {
  const [policy, ...rest] = words;
  if (policy !== "available" && policy !== "quorum") throw new Error(clusterUsage);
  const pids = rest.filter((word) => /^\d+$/.test(word)).map(Number);
  const waits = rest.flatMap((word) => /^recovery-wait=(\d+)$/.exec(word)?.[1] ?? []);
  return new Stage({
    policy: policy satisfies Policy,
    replicas: pids.length,
    recoveryWaitMs: waits[0] === undefined ? Infinity : Number(waits[0]),
    forks: rest.includes("forks"),
  });
}

function rule(fate: "hold" | "lose" | "double" | "spoil"): CommandKind["run"] {
  return (stage, words) => {
    const [link = "*>*", type = ""] = words;
    for (const [from, to] of links(stage, [link])) stage.rule({ from, to, type, fate });
  };
}

function deliver(stage: Stage, words: readonly string[]): void {
  const [link = "*>*", type = ""] = words;
  let count = 0;
  for (const [from, to] of links(stage, [link])) count += stage.deliver(from, to, type);
  if (count === 0) throw new Error("nothing is held");
}

function until(stage: Stage, words: readonly string[]): void {
  const [what = "", ...rest] = words;
  switch (what) {
    case "serve":
      stage.until(`${rest.join(" ")} serve together`, () => stage.serve(each(rest)));
      return;
    case "acknowledged":
      stage.until(`${rest.join(" ")} acknowledged`, () => rest.every((name) => stage.acknowledged(name)));
      return;
    case "repaired":
      stage.until(`${rest.join(" ")} repaired`, () => each(rest).every((pid) => !stage.node(pid).log.damaged));
      return;
    case "down":
      stage.until(`${rest.join(" ")} down`, () => each(rest).every((pid) => !stage.node(pid).up));
      return;
    case "learner":
      stage.until(`${rest.join(" ")} learns`, () =>
        each(rest).every((pid) => stage.node(pid).standing?.role === "learner"),
      );
      return;
    default:
      throw new Error(`until what?`);
  }
}

/** `1>2` one way, `1-2` both ways, `*` for everyone. */
function links(stage: Stage, words: readonly string[]): [from: number, to: number][] {
  return words.flatMap((word) => {
    const [, one = "", how = "", other = ""] = /^(\d+|\*)([>-])(\d+|\*)$/.exec(word) ?? [];
    if (how === "") throw new RangeError(`${word} is no link: write 1>2, 1-2 or *>2`);
    const all = stage.nodes.map(({ pid }) => pid);
    const pairs = (one === "*" ? all : [Number(one)]).flatMap((from) =>
      (other === "*" ? all : [Number(other)]).filter((to) => to !== from).map((to): [number, number] => [from, to]),
    );
    return how === ">"
      ? pairs
      : pairs.flatMap(([from, to]): [number, number][] => [
          [from, to],
          [to, from],
        ]);
  });
}

function pidOf(word: string): number {
  if (!/^\d+$/.test(word)) throw new RangeError(`${word} is no replica`);
  return Number(word);
}
