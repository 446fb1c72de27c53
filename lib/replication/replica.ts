/**
 * The replicated log as a state machine: `step(event)` returns effects. Pure: no clock, randomness, file or socket; the
 * same events give the same effects. Here events are dispatched and heartbeats sent; the sub-protocols are in
 * `writing`, `delivering`, `candidacy`, `view-change`, `membership`, `fetching`, `learning`, `merging`, the predicates in
 * `suspicion` and `formation`.
 */
import type { LogReader, RecoveredLog } from "../protocol/log-port.ts";
import { limits } from "../base/limits.ts";
import type { FrameOf, Member, ReplicaMessage } from "../protocol/messages.ts";
import {
  abandon,
  onAskReply,
  onJoinRefused,
  onPromised,
  onViewOk,
  startCandidacy,
  tickCandidacy,
} from "./candidacy.ts";
import { Core } from "./core.ts";
import { deliver } from "./delivering.ts";
import type { Effect, Event, ReplicaOptions, Standing } from "./events.ts";
import { onCompacted, onDiverged, onEntries, onFetch, tickFetching } from "./fetching.ts";
import { commonPlace, type Place } from "./kinship.ts";
import { admissible, noteAdmission, noteEnd, onHeardOfView, onProbe, onProbeReply, tickLearning } from "./learning.ts";
import { dueChange, onChange, tickMembership } from "./membership.ts";
import { noteOnDisk, onStateSynced, tickFloors } from "./floors.ts";
import { isMerged, tickMerging } from "./merging.ts";
import {
  givenUpTo,
  onSnapshotFetch,
  onSnapshotOffer,
  onSnapshotPart,
  onStateReport,
  tickSnapshots,
} from "./snapshots.ts";
import {
  announced,
  correspondents,
  isSameStanding,
  isSettled,
  roleOf,
  stand,
  stillToCome,
  type Announced,
} from "./standing.ts";
import type { StateFound } from "./state.ts";
import { hearsView, isStuck, rankDelayMs, reasonToStart } from "./suspicion.ts";
import { knowsLaterConfig, onAsk, onJoin, onNewView } from "./view-change.ts";
import {
  accept,
  flush,
  onAppend,
  onAppendOk,
  onCommit,
  onDurable,
  onForward,
  resendPending,
  tellCommit,
  tickWriting,
} from "./writing.ts";

/** After so many hangs without a view that was served in between, one after the other, the operator is told what helps. */
const hangsInVainTold = 3;

export class Replica {
  readonly #core: Core;
  #heartbeatMs = -Infinity;
  /** How often the disk has hung since this replica last served. */
  #hangsInVain = 0;
  /** What was announced last, as far as it is compared. */
  #announced: Announced | null = null;
  #standing: Standing;

  /** `state`: where the state stands on the lineage of the log; null if it is not on it and cannot be built from it. */
  constructor(options: ReplicaOptions, recovered: RecoveredLog, state: StateFound | null, reader: LogReader) {
    this.#core = new Core(options, recovered, state, reader);
    this.#standing = stand(this.#core);
  }

  get standing(): Standing {
    const { commit, log } = this.#core;
    const { lastIndex, lastView } = log;
    const settled = isSettled(this.#core);
    const merged = isMerged(this.#core, this.#core.self.pid);
    const was = this.#standing;
    const isSame = was.settled === settled && was.merged === merged;
    if (was.commit !== commit || was.lastIndex !== lastIndex || !isSame) {
      this.#standing = { ...was, commit, lastIndex, lastView, settled, merged };
    }
    return this.#standing;
  }

  /** See {@link stillToCome}. */
  get stillToCome(): string {
    return stillToCome(this.#core);
  }

  /** See {@link commonPlace}. */
  common(place: Place, upTo: number): Place {
    return commonPlace(this.#core, place, upTo);
  }

  /** Client connections here, told to the others in heartbeats. */
  setConnections(count: number): void {
    this.#core.connections = count;
  }

  /** One event in, what is to be done about it out, to be run in order. */
  step(event: Event): Effect[] {
    const core = this.#core;
    core.log.trim();
    this.#dispatch(event);
    deliver(core);
    if (core.delivered >= core.commit) flush(core);
    tellCommit(core);
    this.#announce();
    const { effects } = core;
    core.effects = [];
    return effects;
  }

  #dispatch(event: Event): void {
    const core = this.#core;
    switch (event.type) {
      case "tick":
        this.#tick(event.nowMs, event.wallMs);
        return;
      case "received":
        if (core.detector.heard(event.from)) this.#receive(event.from, event.message);
        return;
      case "connected":
        if (!core.detector.heard(event.peer)) return;
        this.#sendHeartbeat([event.peer.pid]);
        if (core.pending.size > 0 && !core.isServingPrimary) resendPending(core);
        return;
      case "disconnected":
        core.detector.disconnected(event.pid, event.refused);
        this.#consider();
        return;
      case "persisted":
        core.persisted(event.sequence);
        onDurable(core);
        return;
      case "propose":
        // Nothing is prepared from a state that may be on another lineage: it would come into the log that is fetched.
        if (core.snapshots.kept === null) accept(core, event.ops, core.delivered);
        else core.effects.push({ type: "unavailable", ops: event.ops });
        return;
      case "change":
        onChange(core, event);
        return;
      case "state":
        if (event.report.type === "synced") onStateSynced(core);
        else onStateReport(core, event.report);
        return;
      case "continue":
        return;
      case "stop":
        core.stopping = true;
        core.coolDown();
        // The others go on without it from here: a view that it had begun must not form beside theirs.
        abandon(core, "this replica stops", 0);
        for (const pid of correspondents(core)) core.send(pid, { type: "goodbye", reason: "stopping" });
        return;
    }
  }

  #tick(nowMs: number, wallMs: number): void {
    const core = this.#core;
    const gapMs = core.started ? nowMs - core.nowMs : Infinity;
    core.nowMs = nowMs;
    core.wallMs = wallMs;
    core.detector.tick(nowMs, gapMs > core.options.timeoutMs / 2);
    if (!core.started) {
      core.started = true;
      core.unformedSinceMs = nowMs;
      for (const pid of core.peerPids()) core.detector.suspects(pid);
    } else if (gapMs > core.options.timeoutMs / 2) {
      this.#afterPause();
    }
    this.#watchDisk();
    tickFetching(core);
    tickLearning(core);
    tickWriting(core);
    tickCandidacy(core);
    tickMembership(core);
    this.#consider();
    tickMerging(core);
    tickSnapshots(core);
    tickFloors(core);
    if (nowMs - this.#heartbeatMs >= core.options.heartbeatMs) {
      this.#heartbeatMs = nowMs;
      noteEnd(core);
      this.#sendHeartbeat(correspondents(core));
    }
  }

  /** This process stood still: what it has not heard says nothing, and others may have gone on without it. */
  #afterPause(): void {
    const core = this.#core;
    if (core.installed !== null) {
      core.installed.primaryHeardMs = core.nowMs;
      core.installed.progressMs = core.nowMs;
      for (const progress of core.installed.progress.values()) progress.progressMs = core.nowMs;
    }
    if (core.following !== null) core.following.heardMs = core.nowMs;
    for (const write of core.writes) write.sinceMs = core.nowMs;
    if (globalThis.mistaken?.("hot after a pause")) return;
    core.coolDown();
    // What waits in the inbox or was promised before it is of that time: none of it may make a view that it trusts.
    abandon(core, "this process stood still meanwhile", 0);
    if (core.installed?.formed === false) core.leaveView();
  }

  /**
   * A disk that has not answered for a timeout: this replica leaves its view and says so, that the others can go on. It
   * neither acks nor promises (both wait for the disk) nor leads until the disk has answered; then it starts anew.
   */
  #watchDisk(): void {
    const core = this.#core;
    const oldest = core.writes[0];
    const hangs = oldest !== undefined && core.nowMs - oldest.sinceMs > core.options.timeoutMs;
    if (core.serving) this.#hangsInVain = 0;
    if (hangs === core.left || (core.left && core.following === null && globalThis.mistaken?.("hung one waits")))
      return;
    core.left = hangs;
    if (hangs) {
      core.leftView = core.log.lastView;
      core.leaveView();
      core.say("error", `the disk has not answered for ${core.options.timeoutMs} ms: leaving the view until it does`);
      if (++this.#hangsInVain === hangsInVainTold) {
        const times = `${hangsInVainTold} times in a row`;
        core.say("error", `it did so ${times}: if it is always this slow, give every replica a longer --timeout-ms`);
      }
    } else {
      core.unformedSinceMs = core.nowMs;
      core.say("info", "the disk answers again");
    }
    this.#sendHeartbeat(correspondents(core));
  }

  /** Starts a view when there is a reason and it is this replica's turn. */
  #consider(): void {
    const core = this.#core;
    const isDamaged = core.damaged && !globalThis.mistaken?.("damaged one votes");
    const isUnable = isDamaged || core.left || core.stateless;
    if (!core.started || core.stopping || core.candidacy !== null || isUnable) return;
    const newcomer = core.isServingPrimary ? admissible(core) : null;
    const reason = reasonToStart(core, dueChange(core), newcomer);
    if (reason === null) {
      core.reasonSinceMs = null;
      core.refusals = 0;
      return;
    }
    core.reasonSinceMs ??= core.nowMs;
    if (core.nowMs < core.retryMs) return;
    const leads = core.installed?.isPrimary === true && core.installed.view === core.promised;
    // The news of one heartbeat may be old; who is really cold says so again.
    const { change } = reason;
    const mayStart = leads || change !== null;
    const waitMs = (mayStart ? 0 : rankDelayMs(core)) + (reason.isUrgent ? 0 : 3 * core.options.heartbeatMs);
    if (core.nowMs - core.reasonSinceMs < waitMs) return;
    if (newcomer !== null) noteAdmission(core, newcomer);
    core.say(core.refusals === 0 ? "info" : "debug", `starting a view: ${reason.why}`);
    const wanted = change === null ? null : { change, fromView: core.installed?.view ?? 0 };
    startCandidacy(core, reason.why, !mayStart && !globalThis.mistaken?.("no ask"), wanted);
  }

  #receive(from: Member, message: ReplicaMessage): void {
    const core = this.#core;
    switch (message.type) {
      case "heartbeat":
        this.#onHeartbeat(from, message);
        return;
      case "ask":
        onAsk(core, from, message, hearsView(core), knowsLaterConfig(core, from, message));
        return;
      case "askReply":
        onAskReply(core, from, message);
        return;
      case "join":
        onJoin(core, from, message, knowsLaterConfig(core, from, message));
        return;
      case "promised":
        onPromised(core, from, message);
        return;
      case "joinRefused":
        onJoinRefused(core, from, message);
        return;
      case "newView":
        onNewView(core, from, message);
        return;
      case "viewOk":
        onViewOk(core, from, message);
        return;
      case "append":
        onAppend(core, from, message);
        return;
      case "appendOk":
        onAppendOk(core, from, message);
        return;
      case "commit":
        onCommit(core, from, message);
        return;
      case "fetch":
        onFetch(core, from, message);
        return;
      case "entries":
        onEntries(core, from, message);
        return;
      case "diverged":
        onDiverged(core, from, message);
        return;
      case "compacted":
        onCompacted(core, from, message);
        return;
      case "snapshotFetch":
        onSnapshotFetch(core, from, message);
        return;
      case "snapshotOffer":
        onSnapshotOffer(core, from, message);
        return;
      case "snapshotPart":
        onSnapshotPart(core, from, message);
        return;
      case "forward":
        onForward(core, from, message);
        return;
      case "probe":
        onProbe(core, from, message);
        return;
      case "probeReply":
        onProbeReply(core, from, message);
        return;
      case "goodbye":
        core.detector.departed(from);
        this.#consider();
        return;
    }
  }

  #onHeartbeat(from: Member, heartbeat: FrameOf<"heartbeat">): void {
    const core = this.#core;
    const { installed } = core;
    if (!core.detector.heartbeat(from, heartbeat)) return;
    core.saw(Math.max(heartbeat.promised, heartbeat.installed));
    if (installed !== null && !installed.isPrimary && from.pid === installed.primary.pid) {
      if (heartbeat.installed === installed.view && from.incarnation === installed.primary.incarnation) {
        installed.primaryHeardMs = core.nowMs;
        installed.primaryStuckSinceMs = heartbeat.stuck ? (installed.primaryStuckSinceMs ?? core.nowMs) : null;
        onCommit(core, from, { type: "commit", view: installed.view, commit: heartbeat.commit });
      }
    }
    if (from.pid === core.promisedTo && heartbeat.starting === core.promised) {
      core.promisedHeardMs = core.nowMs;
    }
    noteOnDisk(core, from, heartbeat);
    onHeardOfView(core, from, heartbeat);
    this.#consider();
  }

  #sendHeartbeat(pids: readonly number[]): void {
    const core = this.#core;
    const { installed } = core;
    const message: FrameOf<"heartbeat"> = {
      type: "heartbeat",
      role: roleOf(core),
      installed: installed?.view ?? 0,
      formed: core.serving,
      promised: core.promised,
      starting: core.candidacy?.view ?? 0,
      epoch: installed?.entry.epoch ?? core.epoch,
      lastActView: core.log.lastFormed()?.view ?? 0,
      lastIndex: core.log.lastIndex,
      lastView: core.log.lastView,
      commit: core.commit,
      durableIndex: core.durableIndex,
      hears: core.detector.hears().slice(0, 4 * limits.replicasMax),
      stuck: isStuck(core),
      hot: core.hot,
      left: core.left,
      merged: isMerged(core, core.self.pid),
      stateIndex: givenUpTo(core),
      members: installed === null ? [] : [...installed.entry.members],
      connections: core.connections,
    };
    for (const pid of pids) core.send(pid, message);
  }

  /** Tells the driver when anything but the ends of the log has changed. */
  #announce(): void {
    const core = this.#core;
    const seen = announced(core);
    if (this.#announced !== null && isSameStanding(seen, this.#announced)) return;
    this.#announced = seen;
    this.#standing = stand(core);
    core.effects.push({ type: "standing", standing: this.#standing });
  }
}
