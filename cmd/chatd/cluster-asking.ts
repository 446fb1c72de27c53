/**
 * Asks replicas as an operator: tries one server after the other, goes to the replica that makes a change, and repeats the
 * request until it is done, refused, or has been waited for long enough. Prints nothing.
 */
import { UnansweredError, type Inquiry } from "../../lib/client/inquiry.ts";
import { systemClock } from "../../lib/io/clock.ts";
import { formatView } from "../../lib/protocol/ids.ts";
import type { Frame, FrameOf } from "../../lib/protocol/messages.ts";
import { wishMs } from "../../lib/replication/membership.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { inquireAt } from "./inquiring.ts";
import { remedyFor } from "./servers.ts";

type Policy = FrameOf<"welcome">["policy"];
export type Change = Omit<FrameOf<"changeConfig">, "type" | "request">;

export type Outcome =
  | {
      readonly ok: true;
      readonly view: number;
      /** The view that was to bring it did not form; a later one brought it. */
      readonly carriedOn: boolean;
      readonly message: string;
    }
  | {
      readonly ok: false;
      readonly error: "refused" | "lapsed" | "timeout";
      readonly status: number;
      readonly message: string;
    };

export interface ClusterStatus extends FrameOf<"clusterReport"> {
  readonly cluster: Uint8Array;
}

/** The cluster wants for a while longer what it was asked for last. */
const wishLapses = `; the request for it lapses in ${wishMs / 1000} s`;
const connectMs = 2000;
const againMs = 250;
/** A removal that cannot be begun is not waited for as long as a newcomer that has a log to learn. */
const removalWaitMs = 5_000;

export class ClusterAsking {
  readonly #given: readonly string[];
  /** By pid, from whoever answered last. */
  #learnt = new Map<number, string>();
  #reached = false;
  /** Null until a replica has told it. */
  #policy: Policy | null = null;
  /** A request for a change was sent, and its answer never came: it may have been begun. */
  #wasUnanswered = false;

  constructor(servers: readonly string[]) {
    this.#given = servers;
  }

  /** From a replica that serves, or else any that answers. Throws `CommandFailure` (69, 77). */
  async status(): Promise<ClusterStatus> {
    let fallback: ClusterStatus | null = null;
    const failures: string[] = [];
    const tried = new Set<string>();
    for (
      let address = this.#given[0];
      address !== undefined;
      address = this.#order(0).find((each) => !tried.has(each))
    ) {
      tried.add(address);
      try {
        const inquiry = await this.#open(address);
        const answer = await inquiry.ask({ type: "clusterStatus", request: 1 });
        const { cluster } = inquiry;
        inquiry.close();
        const report = expected(answer, "clusterReport");
        if (report.ready) return { ...report, cluster };
        fallback ??= { ...report, cluster };
      } catch (error) {
        if (!(error instanceof UnansweredError)) throw error;
        failures.push(error.message);
      }
    }
    return fallback ?? this.#unreachable(failures);
  }

  /** Repeats the request until it is done. `progress` is told what is waited for, once each. Throws as `status` does. */
  async change(wanted: Change, patienceMs: number, progress: (line: string) => void): Promise<Outcome> {
    const pursuit = new Pursuit(wanted, patienceMs, progress);
    let ask = 0;
    for (;;) {
      const report = await this.#changeOnce(wanted, ask);
      const outcome = pursuit.next(report, this.#wasUnanswered, this.#policy);
      if (outcome !== null) return outcome;
      const sentOn = report?.state === "elsewhere" && report.ask !== 0 && report.ask !== ask;
      ask = report?.state === "elsewhere" ? report.ask : ask;
      if (!sentOn) await Bun.sleep(againMs);
      if (report === null) ask = 0;
    }
  }

  /** Null when nobody answered this time, although somebody has before. That of a replica in no view if there is no other. */
  async #changeOnce(wanted: Change, ask: number): Promise<FrameOf<"changeReport"> | null> {
    const failures: string[] = [];
    let viewless: FrameOf<"changeReport"> | null = null;
    for (const address of this.#order(ask)) {
      let isAsked = false;
      try {
        const inquiry = await this.#open(address);
        isAsked = true;
        const answer = await inquiry.ask({ type: "changeConfig", request: 1, ...wanted });
        inquiry.close();
        const report = expected(answer, "changeReport");
        // One that knows of no view may only be cut off: another may know better.
        if (report.state !== "elsewhere" || report.ask !== 0) return report;
        viewless = report;
      } catch (error) {
        if (!(error instanceof UnansweredError)) throw error;
        this.#wasUnanswered ||= isAsked;
        failures.push(error.message);
      }
    }
    return this.#reached ? viewless : this.#unreachable(failures);
  }

  #unreachable(failures: readonly string[]): never {
    const why = [...failures, remedyFor(this.#given) ?? []].flat().join("; ");
    throw new CommandFailure(`no server could be reached: ${why}`, exitStatus.unreachable);
  }

  #order(ask: number): string[] {
    const first = this.#learnt.get(ask);
    return [...new Set([...(first === undefined ? [] : [first]), ...this.#given, ...this.#learnt.values()])];
  }

  async #open(address: string): Promise<Inquiry> {
    const inquiry = await inquireAt(address, connectMs);
    this.#reached = true;
    this.#policy = inquiry.place?.policy ?? this.#policy;
    for (const { pid, address: where } of inquiry.place?.replicas ?? []) this.#learnt.set(pid, where);
    return inquiry;
  }
}

/** One change from the first report to the last: what is worth saying, and when it is over. */
class Pursuit {
  readonly #wanted: Change;
  readonly #progress: (line: string) => void;
  readonly #startedMs = systemClock.monotonicMs();
  readonly #patienceMs: number;
  /** The view that was last said to be bringing it; 0 for none. */
  #attempted = 0;
  /** What the cluster goes on with although nobody asks any more: the view that brings the change, or the wish for it. */
  #goesOn: "view" | "wish" | null = null;
  /** It was seen not to be in force. */
  #wasOpen = false;
  #waitedFor = "no replica of the cluster answers";
  #said = "";

  constructor(wanted: Change, patienceMs: number, progress: (line: string) => void) {
    this.#wanted = wanted;
    this.#patienceMs = patienceMs;
    this.#progress = progress;
  }

  /** `wasUnanswered`: it has been asked for before, and what became of that is not known. */
  next(report: FrameOf<"changeReport"> | null, wasUnanswered: boolean, policy: Policy | null): Outcome | null {
    const { change } = this.#wanted;
    switch (report?.state) {
      case "done":
        return this.#done(report.view, wasUnanswered);
      case "refused":
        return { ok: false, error: "refused", status: exitStatus.failed, message: report.reason };
      case "attempting":
        this.#wasOpen = true;
        this.#attempted = report.view;
        this.#goesOn = "view";
        this.#say(`view ${formatView(report.view)} is being formed`);
        break;
      case "lapsed":
        if (change === "remove") return this.#lapsed(report.reason);
        this.#say(`the change has lapsed, ${report.reason}: trying again`);
        this.#attempted = 0;
        this.#goesOn = null;
        break;
      case "waiting":
        this.#wasOpen = true;
        this.#goesOn = "wish";
        // Whoever made the attempt is gone, and the view that formed since has not brought it. One that was there
        // before says nothing.
        if (change === "remove" && this.#attempted !== 0 && report.view > this.#attempted)
          return this.#lapsed("another view has formed without it");
        if (report.reason !== "") this.#wait(report.reason);
        break;
      case "elsewhere":
        if (report.reason !== "") this.#wait(report.reason);
        break;
      case undefined:
        this.#goesOn = null;
        this.#wait(this.#wasOpen ? "no replica of the cluster answers" : this.#waitedFor);
    }
    const waitedMs = systemClock.monotonicMs() - this.#startedMs;
    const patienceMs = change === "remove" && this.#attempted === 0 ? removalWaitMs : this.#patienceMs;
    return waitedMs < patienceMs ? null : this.#timedOut(waitedMs, policy);
  }

  #timedOut(waitedMs: number, policy: Policy | null): Outcome {
    const { change, pid } = this.#wanted;
    const what = change === "add" ? "is not a member" : "has not been removed";
    const said = `replica ${pid} ${what} after ${Math.round(waitedMs / 1000)} s`;
    const view = `view ${formatView(this.#attempted)} is still being formed with the change, which stays under way`;
    const message =
      this.#goesOn === "view"
        ? `${said}: ${view}; ask for the same again to follow it`
        : `${said}: ${this.#waitedFor}${this.#remedy(policy)}${this.#goesOn === null ? "" : wishLapses}`;
    return { ok: false, error: "timeout", status: exitStatus.failed, message };
  }

  #done(view: number, wasUnanswered: boolean): Outcome {
    const { change, pid, address, acceptLoss } = this.#wanted;
    if (change === "remove" && !this.#wasOpen && this.#attempted === 0 && !wasUnanswered) {
      const message = `there is no replica ${pid} in the cluster; see chatd cluster status`;
      return { ok: false, error: "refused", status: exitStatus.failed, message };
    }
    const carriedOn = this.#attempted !== 0 && this.#attempted !== view;
    const by = carriedOn ? `view ${formatView(view)}, which carried the change on` : `view ${formatView(view)}`;
    if (change === "add") {
      const message = `replica ${pid} at ${address} is a member of the cluster: ${by}`;
      return { ok: true, view, carriedOn, message };
    }
    const after = acceptLoss
      ? "what it alone had acknowledged, if anything, is lost unless it returns: then that is merged"
      : "it serves nobody any more and may be stopped";
    return { ok: true, view, carriedOn, message: `replica ${pid} has been removed by ${by}; ${after}` };
  }

  #lapsed(reason: string): Outcome {
    const { pid } = this.#wanted;
    const message = `the removal of replica ${pid} has lapsed: ${reason}; nothing was changed, try again`;
    return { ok: false, error: "lapsed", status: exitStatus.failed, message };
  }

  #remedy(policy: Policy | null): string {
    const { change, pid, acceptLoss } = this.#wanted;
    if (change === "remove" && policy === "quorum")
      return "; start the replicas that are away first: under quorum a majority of all must stay";
    if (change === "remove" && !acceptLoss)
      return `; start it, or if it is gone for good use --accept-loss (policy available)`;
    return change === "add"
      ? `; is it running, with --pid ${pid} and with --peers naming itself and a replica that runs?`
      : "";
  }

  #wait(reason: string): void {
    this.#waitedFor = reason;
    this.#say(`waiting: ${reason}`);
  }

  #say(line: string): void {
    if (line === this.#said) return;
    this.#said = line;
    this.#progress(line);
  }
}

function expected<T extends "clusterReport" | "changeReport">(answer: Frame, type: T): FrameOf<T> {
  if (answer.type === type) return answer as FrameOf<T>;
  if (answer.type === "refused" && answer.code === "unauthorized") {
    throw new CommandFailure(answer.message, exitStatus.notAllowed);
  }
  const said = answer.type === "refused" ? answer.message : `a ${answer.type} frame`;
  throw new CommandFailure(`a replica answered with something else: ${said}`, exitStatus.failed);
}
