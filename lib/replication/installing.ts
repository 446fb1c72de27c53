/**
 * What the candidate and the others do alike in a view change: tell what they promise a view with, and enter it with its
 * VIEW entry. Sends nothing.
 */
import { assert } from "../base/assert.ts";
import type { ViewEntry } from "../protocol/entries.ts";
import { viewPid } from "../protocol/ids.ts";
import type { FrameOf } from "../protocol/messages.ts";
import type { LogRecord } from "../protocol/record.ts";
import type { Core } from "./core.ts";
import { isSame } from "./formation.ts";
import { Portion, type PortionBounds } from "./portion.ts";
import type { Progress } from "./state.ts";

/** Beginnings of views told with a promise. */
const promisedViewsMax = 1_024;
/** On their way to a member beyond what it has acked: few at first, as its link may be narrow. */
const windowBytes: PortionBounds = { most: 512 * 1024, first: 8 * 1024, least: 4 * 1024 };

/** What this replica holds, as it goes with the promise of the view that it has promised last. */
export function ownPromise(core: Core): FrameOf<"promised"> {
  return {
    type: "promised",
    view: core.promised,
    epoch: core.epoch,
    last: core.log.last,
    floor: core.log.base.index,
    floorView: core.log.base.view,
    hot: core.hot,
    damaged: core.damaged,
    // One without a state votes with its log; a member is one who can apply it too.
    behind: core.stateless || (core.damaged && !core.refetched),
    commit: core.commit,
    applied: appliedIndex(core),
    attempts: [...core.log.attempts()],
    views: core.log.viewTable(core.log.lastIndex, promisedViewsMax),
  };
}

/**
 * How far the state will have come when the view forms, whatever view that is: what is committed here is applied meanwhile, and a
 * state that is on its way takes the place of this one. MUST NOT be told of one that is just being put in place when
 * its entry has left the log, for it is lost, and what was there before it: others would give theirs up for that.
 */
function appliedIndex({ snapshots: { transfer }, log, stateless, delivered, commit }: Core): number | null {
  const coming = transfer?.snapshot?.position ?? null;
  const isLogged = coming !== null && log.holds(coming);
  const hasState = transfer?.stage === "installing" ? isLogged : !stateless;
  return hasState ? Math.max(delivered, commit, isLogged ? coming.index : 0) : null;
}

/**
 * Before a promise: of an own view whose ACT has not committed, and now never will, that is no proof that it has formed
 * (`quorum`). Others may have it; but who is not there must not be waited for because of it.
 */
export function withdrawAct(core: Core): void {
  const { installed, log, options } = core;
  if (options.policy !== "quorum" || installed?.isPrimary !== true || installed.formed) return;
  if (log.lastView === installed.view) core.supersedeAfter(installed.actIndex - 1);
}

/** Puts the VIEW record after the base and enters the view. */
export function appendView(core: Core, record: LogRecord, entry: ViewEntry, durable: () => void): void {
  const { added } = core.log.extend(core.log.position(record.index - 1), [record], "forbidden");
  const primary = entry.members.find(({ pid }) => pid === viewPid(entry.view));
  assert(primary !== undefined, "who starts a view leads it");
  const isPrimary = isSame(primary, core.self);
  const progress = new Map<number, Progress>();
  for (const member of entry.members) {
    if (isSame(member, core.self)) continue;
    core.detector.countedOn(member, entry.view);
    if (isPrimary) {
      const { nowMs } = core;
      progress.set(member.pid, {
        member,
        matchIndex: record.index - 1,
        nextIndex: record.index,
        toldCommit: 0,
        progressMs: nowMs,
        resentMs: nowMs,
        window: new Portion(windowBytes),
        underWay: [],
        tookMs: 0,
      });
    }
  }
  core.following = null;
  core.fetch = null;
  core.reasonSinceMs = null;
  core.inFlight.clear();
  core.relayed = [];
  core.installed = {
    view: entry.view,
    entry,
    primary,
    isPrimary,
    sequence: core.persist(added, durable),
    actIndex: record.index + 1,
    formed: globalThis.mistaken?.("attempt taken for formed") === true,
    formedMs: core.nowMs,
    primaryHeardMs: core.nowMs,
    primaryStuckSinceMs: null,
    progressMs: core.nowMs,
    progress,
    streams: new Map(),
    onDisk: new Map(),
    ends: [],
  };
}
