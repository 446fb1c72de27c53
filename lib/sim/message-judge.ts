/** What the judge of a run makes of what replicas say to each other: nothing that is not yet durable, and true, is said. */
import type { Member, ReplicaMessage } from "../protocol/messages.ts";
import { SimulationFailure } from "./failure.ts";
import { name } from "./judged-entry.ts";
import type { ShadowLog } from "./shadow-log.ts";

export class MessageJudge {
  /** Which process has started which view. */
  private readonly starters = new Map<number, string>();

  constructor(private readonly hasFormed: (view: number) => boolean) {}

  /** `log`: what is on the disk of `from`. */
  judge(log: ShadowLog, from: Member, message: ReplicaMessage): void {
    const { durable } = log;
    switch (message.type) {
      case "newView": {
        // JOIN may run ahead of the candidate's own promise; what cannot be taken back begins here.
        if (durable.promised < message.view) fail("promise", `${name(log)} sends NEWVIEW before its own promise`);
        if (message.view % 256 !== from.pid) fail("view", `${name(log)} starts view ${message.view} of another`);
        const process = `${from.uuid} ${from.incarnation}`;
        if ((this.starters.get(message.view) ?? process) !== process)
          fail("view", `view ${message.view} is used twice`);
        this.starters.set(message.view, process);
        break;
      }
      case "promised":
        if (durable.promised < message.view) fail("promise", `${name(log)} answers before its promise is durable`);
        log.toldPromise = Math.max(log.toldPromise, message.view);
        break;
      case "viewOk":
        if (durable.views.at(-1) !== message.view) {
          fail("durable", `${name(log)} sends VIEW_OK for ${message.view} before its VIEW is durable`);
        }
        notBelowPromise(log, message.view);
        break;
      case "appendOk":
        if (message.durableIndex > durable.chains.length) {
          fail("durable", `${name(log)} acks ${message.durableIndex} with ${durable.chains.length} durable`);
        }
        if (message.durableIndex > 0 && (durable.views[message.durableIndex - 1] as number) > message.view) {
          fail("durable", `${name(log)} acks ${message.durableIndex} of another view in ${message.view}`);
        }
        notBelowPromise(log, message.view);
        break;
      case "heartbeat":
        if (message.formed && !this.hasFormed(message.installed)) {
          fail("formed", `${name(log)} takes the attempt ${message.installed} for formed`);
        }
        break;
      default:
        break;
    }
  }
}

/** A candidate tells its own promise nobody: that it is on the disk is enough, for its own log counts for the base. */
function notBelowPromise(log: ShadowLog, view: number): void {
  const promised = Math.max(log.toldPromise, log.durable.promised);
  if (view < promised) fail("promise", `${name(log)} acks in view ${view} after it promised ${promised}`);
}

function fail(rule: string, message: string): never {
  throw new SimulationFailure(rule, message);
}
