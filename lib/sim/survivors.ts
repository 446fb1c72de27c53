/**
 * Whether deaths are outlived. When all is well replicas die and stay dead, as many as the policy can do without: `available`
 * all but one, `quorum` less than half. Who is left must be in one view without them, and answer every client, within a
 * bounded time.
 */
import { formatView } from "../protocol/ids.ts";
import type { Standing } from "../replication/events.ts";
import { SimulationFailure } from "./failure.ts";
import type { Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";
import type { WorkingClient } from "./workload.ts";

/** A replica that can be dead for good. */
export interface Mortal {
  readonly pid: number;
  readonly standing: Standing | null;
  staysDown: boolean;
  start(): void;
  crash(kind: "process" | "power"): void;
}

export interface SurvivorsRun {
  readonly profile: Profile;
  readonly simulator: Simulator;
  readonly nodes: readonly Mortal[];
  readonly clients: readonly WorkingClient[];
}

/** What clients of the library need to find out that a connection is silent, and to make another. */
const librarySlackMs = 20_000;

/** It takes as long again as to come to rest: in the others there is time for more seeds. */
const share = 1 / 3;

/** In the end whoever has died is started again. False when nobody died: in most runs, or as nobody could be done without. */
export function mustOutlive(run: SurvivorsRun, random: Random): boolean {
  if (!random.chance(share)) return false;
  const { profile, simulator } = run;
  const dead = drawDead(run, random);
  if (dead.length === 0) return false;
  // At once, or one after another: before that is noticed, or when the others have gone on.
  const apartMs = profile.timeoutMs * random.pick([0, 0.2, 5]);
  for (const node of dead) {
    node.staysDown = true;
    node.crash(random.chance(0.5) ? "process" : "power");
    simulator.run(simulator.nowMs + apartMs);
  }
  const boundMs = 20 * profile.timeoutMs;
  if (!simulator.run(simulator.nowMs + boundMs, () => obstacle(run, dead) === null)) {
    fail(`${obstacle(run, dead)} after ${boundMs} ms`, dead);
  }
  mustAnswer(run, dead, boundMs);
  for (const node of dead) {
    node.staysDown = false;
    node.start();
  }
  return true;
}

function mustAnswer(
  { profile, simulator, nodes, clients }: SurvivorsRun,
  dead: readonly Mortal[],
  boundMs: number,
): void {
  const patienceMs = boundMs + 2 * profile.patienceMs + (profile.library === null ? 0 : librarySlackMs);
  const present = clients.filter(({ gone }) => !gone);
  const committed = (): number => Math.max(0, ...nodes.map(({ standing }) => standing?.commit ?? 0));
  const before = committed();
  // Users of the library may have asked questions alone; whose session has expired asks anew under another.
  const isEnough = (): boolean => profile.library !== null || committed() > before;
  for (let times = 0; times < 3 && present.length > 0; times++) {
    for (const client of present) client.ask(3);
    simulator.run(simulator.nowMs + patienceMs, () => present.every(({ done }) => done));
    const waiting = present.find(({ done }) => !done);
    if (waiting !== undefined) fail(`session ${waiting.session} waits for ${waiting.waiting.join(", ")}`, dead);
    if (isEnough()) return;
  }
  if (present.length > 0) fail("nothing is committed any more", dead);
}

function drawDead({ profile, nodes }: SurvivorsRun, random: Random): readonly Mortal[] {
  const standing = nodes.find((node) => node.standing?.role === "primary")?.standing;
  if (standing == null || standing.provisional) return [];
  const configured = nodes.filter(({ pid }) => standing.config.some((each) => each.pid === pid));
  const most = profile.policy === "quorum" ? Math.ceil(configured.length / 2) - 1 : configured.length - 1;
  return most === 0 ? [] : random.shuffle(configured).slice(0, 1 + random.below(most));
}

/** Why the survivors are not together; null when they are. */
function obstacle({ nodes }: SurvivorsRun, dead: readonly Mortal[]): string | null {
  const primary = nodes.find(({ standing }) => standing?.role === "primary" && standing.ready)?.standing;
  if (primary == null) return "nobody leads a view";
  const lost = primary.members.find((member) => dead.some(({ pid }) => pid === member.pid));
  if (lost !== undefined) return `view ${formatView(primary.view)} has replica ${lost.pid} in it, who is dead`;
  const absent = nodes.find(({ pid, standing }) => {
    const isLeft = primary.config.some((each) => each.pid === pid) && dead.every((each) => each.pid !== pid);
    return isLeft && (standing?.ready !== true || standing.view !== primary.view);
  });
  return absent === undefined ? null : `replica ${absent.pid} is not in view ${formatView(primary.view)}`;
}

function fail(what: string, dead: readonly Mortal[]): never {
  const pids = dead.map(({ pid }) => pid).join(" and ");
  throw new SimulationFailure("survivors", `${what}, though nothing is wrong but that ${pids} died`);
}
