/**
 * How much of the log may go. A floor is an index at or below which nothing is asked for any more: `available`: on the
 * disk of every replica of the config; `quorum`: on the disks of all members, less a window for those who are behind. In
 * both: applied here, durably, and not behind a snapshot that a peer is fetching. Deletes nothing itself.
 */
import type { Member } from "../protocol/messages.ts";
import type { Core } from "./core.ts";
import type { Heartbeat } from "./detector.ts";

/** A replica that holds up the deleting for so long is named, and again after the second time. */
const missingMs = 60_000;
const remindMs = 3_600_000;

/**
 * Only what members tell, and in this view: who tells it in an earlier one, or as a learner, may have gone over to a fork
 * since, and this one not have heard of it. Once all of the config have been members of one view, none of them is in a
 * greater one that began beside it.
 */
export function noteOnDisk(core: Core, from: Member, heartbeat: Heartbeat): void {
  const { installed } = core;
  if (!core.serving || installed === null || heartbeat.lastView !== installed.view) return;
  if (heartbeat.installed !== installed.view) return;
  const index = Math.min(heartbeat.durableIndex, core.log.lastIndex);
  installed.onDisk.set(from.uuid, Math.max(index, installed.onDisk.get(from.uuid) ?? 0));
}

export function tickFloors(core: Core): void {
  const { floors, retention } = core;
  floors.lookedMs ??= core.nowMs;
  if (core.nowMs - floors.lookedMs < retention.compactMs) return;
  floors.lookedMs = core.nowMs;
  if (!core.serving || core.stateless || core.damaged) return;
  const { everywhere, missing } = onAllDisks(core);
  const isLossy = core.options.policy === "quorum";
  const local = Math.min(core.delivered, core.snapshots.made?.snapshot.position.index ?? Infinity);
  noteMissing(core, missing, local, isLossy);
  const index = core.reader.compactable(Math.min(everywhere, local), isLossy);
  if (index === null) return;
  if (floors.appliedDurably >= index) {
    core.log.compact(index, core.self);
    core.effects.push({ type: "compact", index });
  } else if (floors.syncing === null) {
    floors.syncing = core.delivered;
    core.order({ type: "sync" });
  }
}

export function onStateSynced(core: Core): void {
  const { floors } = core;
  floors.appliedDurably = Math.max(floors.appliedDurably, floors.syncing ?? 0);
  floors.syncing = null;
  // What has waited for it need not wait for another look.
  floors.lookedMs = -Infinity;
}

/** The floor as far as the others have a say, and the pid of one who holds it up by being away. */
function onAllDisks(core: Core): { readonly everywhere: number; readonly missing: number | null } {
  const { installed, options } = core;
  if (installed === null) return { everywhere: 0, missing: null };
  const uuids: (string | null)[] =
    options.policy === "quorum" || globalThis.mistaken?.("compaction past a missing replica")
      ? installed.entry.members.map(({ uuid }) => uuid)
      : installed.entry.config.map(({ uuid }) => uuid);
  let everywhere = core.durableIndex;
  for (const { matchIndex } of installed.progress.values()) everywhere = Math.min(everywhere, matchIndex);
  for (const uuid of uuids) {
    if (uuid === core.self.uuid) continue;
    everywhere = Math.min(everywhere, uuid === null ? 0 : (installed.onDisk.get(uuid) ?? 0));
  }
  const isMember = (uuid: string | null): boolean => installed.entry.members.some((member) => member.uuid === uuid);
  const away = installed.entry.config.find(({ pid, uuid }) => !isMember(uuid) && core.detector.suspects(pid));
  return {
    everywhere: options.policy === "quorum" ? everywhere - core.retention.laggardEntries : everywhere,
    missing: options.policy === "available" ? (away?.pid ?? null) : null,
  };
}

function noteMissing(core: Core, missing: number | null, local: number, isLossy: boolean): void {
  const { floors, nowMs } = core;
  if (missing === null) {
    floors.missingSinceMs = null;
    return;
  }
  floors.missingSinceMs ??= nowMs;
  if (nowMs - floors.missingSinceMs < missingMs || nowMs - floors.saidMs < remindMs) return;
  if (core.reader.compactable(local, isLossy) === null) return;
  floors.saidMs = nowMs;
  core.say(
    "warn",
    `the log cannot be shortened while replica ${missing} is away, for it may need all of it: bring it back, or, if it ` +
      `is gone for good, remove it with "chatd cluster remove ${missing} --accept-loss"`,
  );
}
