/**
 * What a run must come to when nothing strikes it any more: all in one formed view with one log, every op answered, nothing
 * missing, and calm from then on. Strikes nothing, and starts nobody.
 */
import { formatView } from "../protocol/ids.ts";
import { judgeChat, replay } from "./chat-judge.ts";
import type { Acknowledged, Oracle } from "./checkers.ts";
import { SimulationFailure } from "./failure.ts";
import type { Network } from "./network.ts";
import type { SimulatedNode } from "./node.ts";
import type { Operator } from "./operator.ts";
import type { Profile } from "./profile.ts";
import type { Simulator } from "./simulator.ts";
import type { Users } from "./users.ts";
import type { WorkingClient } from "./workload.ts";

/** The run, as far as it is held to something. */
export interface HealedRun {
  readonly simulator: Simulator;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly profile: Profile;
  readonly nodes: readonly SimulatedNode[];
  readonly clients: readonly WorkingClient[];
  /** Where clients are the library. */
  readonly users: Users | null;
  readonly operator: Operator | null;
}

/** For how long a replica goes on wanting a change that nobody asks for any more, and a little. */
const wantedMs = 3_300;

/** With nothing in its way a change of the config comes into force within a bounded time. */
function mustChange(run: HealedRun, operator: Operator): void {
  const { simulator, profile } = run;
  // Who is awaited since a total stop may have been a disk that is lost: nothing ends that but accepting the loss.
  if (run.nodes.some(({ standing }) => standing?.provisional === true)) return;
  operator.finish();
  const isDone = simulator.run(simulator.nowMs + 60 * profile.timeoutMs, () => !operator.busy);
  if (!isDone)
    throw new SimulationFailure("liveness", "a change of the config was not made although nothing was wrong");
  operator.stop();
  mustBeTogether(run);
}

/** Within a bounded time after the heal. */
export function mustComeTogether(run: HealedRun): void {
  const { profile, simulator } = run;
  // Deaths and suspicions that were under way still come; what stands after them must last. Behind what a slow link has
  // still to bring nothing is heard.
  const behindMs = run.network.arrivesMs - simulator.nowMs;
  const silentMs = behindMs > profile.timeoutMs / 2 ? behindMs : 0;
  simulator.run(simulator.nowMs + silentMs + 2 * profile.timeoutMs + 600);
  mustBeTogether(run);
}

/** Everyone in one formed view with one log, and every op of every client answered, within a bounded time. */
function mustBeTogether(run: HealedRun): void {
  const { profile, simulator } = run;
  const waitMs = profile.recoveryWaitMs < 1e9 ? profile.recoveryWaitMs : 0;
  const boundMs = simulator.nowMs + 60 * profile.timeoutMs + 2 * waitMs;
  let reason: string | null = "";
  let checkedMs = 0;
  const converged = simulator.run(boundMs, () => {
    if (simulator.nowMs - checkedMs < 20) return false;
    checkedMs = simulator.nowMs;
    reason = obstacle(run);
    return reason === null;
  });
  if (!converged) {
    const standings = run.nodes.map((node) => describeStanding(node)).join("; ");
    throw new SimulationFailure("liveness", `not converged long after the heal: ${reason} [${standings}]`);
  }
}

/** Together, also after another change of the config, and calm from then on. */
export function mustConverge(run: HealedRun): void {
  const { profile, simulator } = run;
  mustComeTogether(run);
  if (run.operator !== null) mustChange(run, run.operator);
  const views = run.nodes.map((node) => node.standing?.view);
  simulator.run(simulator.nowMs + 3 * profile.timeoutMs);
  for (const [at, node] of run.nodes.entries()) {
    if (node.standing?.view === views[at]) continue;
    throw new SimulationFailure("liveness", `replica ${node.pid} left a view although nothing was wrong`);
  }
  // A session whose loss was noticed, or that expired, just now is under way to everybody.
  if (obstacle(run) !== null) simulator.run(simulator.nowMs + 20 * profile.timeoutMs, () => obstacle(run) === null);
  judgeEnd(run);
}

/** Why the run has not come to rest; null when it has. */
function obstacle(run: HealedRun): string | null {
  const [first] = run.nodes;
  const primary = run.nodes.find((node) => node.standing?.role === "primary");
  const model = (primary ?? first)?.standing;
  if (model == null) return "nobody runs";
  const idleMs = run.simulator.nowMs - (run.operator?.askedMs ?? -Infinity);
  if (idleMs < wantedMs) return "a change of the config may still be wanted";
  const { awaiting, config } = model;
  const mayCome = awaiting.some((awaited) => config.some(({ uuid }) => uuid === awaited));
  if (awaiting.length > 0 && !mayCome) return `${formatView(model.view)} awaits disks that were replaced`;
  for (const node of run.nodes) {
    const { standing } = node;
    if (standing === null) return `replica ${node.pid} is down`;
    const isConfigured = model.config.some(({ pid }) => pid === node.pid);
    const serves = standing.ready && (standing.role === "primary" || standing.role === "backup");
    if (isConfigured && !serves) return `replica ${node.pid} is ${standing.role}, not ready: ${standing.waitingFor}`;
    if (!isConfigured && standing.role !== "learner")
      return `replica ${node.pid}, not in the config, is ${standing.role}`;
    if (standing.view !== model.view) {
      return `replica ${node.pid} is in ${formatView(standing.view)}, another in ${formatView(model.view)}`;
    }
    if (standing.members.length !== model.config.length) return `view ${formatView(standing.view)} lacks members`;
  }
  for (const client of run.clients) {
    if (!client.done) return `session ${client.session} waits for ${client.waiting.join(", ") || "its next op"}`;
  }
  const unaware = run.users?.unaware;
  if (unaware !== undefined) return `session ${unaware.session} has yet to notice that its connection is frozen`;
  for (const node of run.nodes) {
    const { index } = node.applied.applied;
    const [lost] = run.oracle.oneOrder ? [] : missingOn(run, node);
    // Where there were forks, their ops come back by the merge, which takes its time.
    if (lost !== undefined) return `${lost.op}, acknowledged as entry ${lost.index}, is missing on ${node.pid}`;
    if (index !== model.lastIndex) return `replica ${node.pid} has applied ${index} of ${model.lastIndex}`;
  }
  return null;
}

function missingOn(run: HealedRun, node: SimulatedNode): Acknowledged[] {
  const { oracle } = run;
  return oracle.missing((session, seq) => {
    if (node.applied.holds(session, seq)) return true;
    // Of a session that expired what only a machine given up for lost had acknowledged is gone, also if it returns.
    return oracle.lossAccepted && node.applied.forgotten.has(session);
  });
}

/** Everything that was under way has arrived. */
function judgeEnd(run: HealedRun): void {
  const [first, ...rest] = run.nodes;
  if (first === undefined) return;
  if (run.profile.chat) {
    const replayed = replay(first.applied);
    judgeChat(first.applied.inner, replayed);
    run.users?.judgeEnd(replayed);
  }
  for (const node of run.nodes) {
    const missing = missingOn(run, node);
    const [lost] = missing;
    if (lost === undefined) continue;
    throw new SimulationFailure(
      "lost",
      `${missing.length} acknowledged ops are missing on replica ${node.pid}, first ${lost.op}, ` +
        `acknowledged at ${lost.atMs.toFixed(1)} as entry ${lost.index}`,
    );
  }
  const { digest } = first;
  for (const node of rest) {
    const same =
      node.applied.applied.index === first.applied.applied.index &&
      node.applied.applied.chain === first.applied.applied.chain;
    if (!same) throw new SimulationFailure("order", `replicas 1 and ${node.pid} applied different logs`);
    if (digest !== node.digest) {
      throw new SimulationFailure("digest", `replicas 1 and ${node.pid} have different states`);
    }
  }
}

function describeStanding({ pid, standing }: SimulatedNode): string {
  if (standing === null) return `${pid} down`;
  const members = standing.members.map((member) => member.pid).join("");
  return (
    `${pid} ${standing.role}${standing.ready ? " ready" : ""} ${formatView(standing.view)}{${members}} ` +
    `commit ${standing.commit} of ${standing.lastIndex}`
  );
}
