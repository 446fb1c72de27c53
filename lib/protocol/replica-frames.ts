/**
 * The frames between replicas, a part of the one table in `messages.ts`. What each is for: lib/replication/README.md.
 */
import { limits } from "../base/limits.ts";
import { attempt, index, member, pid, policy, position, snapshotName, view, viewStart } from "./fields.ts";
import { bool, bytes, define, list, oneOf, optional, uint } from "./schema.ts";

export const replicaFrames = {
  heartbeat: define(128, "replica", "I am alive, and this is where I stand.", {
    role: oneOf("primary", "backup", "learner", "candidate"),
    /** The view whose VIEW entry this incarnation has installed; 0 for none. */
    installed: view,
    /** Its ACT has committed. */
    formed: bool,
    promised: view,
    /** The view this replica is starting right now, promises being gathered or members installing; 0 for none. */
    starting: view,
    epoch: uint(),
    lastActView: view,
    lastIndex: index,
    lastView: view,
    commit: index,
    durableIndex: index,
    /** Pids heard within the timeout. */
    hears: list(pid, 4 * limits.replicasMax),
    /** For one timeout the primary has neither committed nor formed. */
    stuck: bool,
    /** A member, without interruption, of a formed view: it has all that was acknowledged. */
    hot: bool,
    /** Its disk hangs: it has left its view and must be counted out until it says otherwise. */
    left: bool,
    /** What its disk holds beside the lineage of its view, or, outside the config, of the one it follows, has been merged. */
    merged: bool,
    /** How far the state goes that it can give to others; null when it has none to give. */
    stateIndex: optional(index),
    /** Pids and identities of the installed view's members. */
    members: list(member, limits.replicasMax),
    connections: uint(),
  }),
  ask: define(129, "replica", "May I start a view? Changes nothing.", {
    nonce: uint(),
    epoch: uint(),
    lastActView: view,
  }),
  askReply: define(130, "replica", "Answers ask.", {
    nonce: uint(),
    verdict: oneOf("go", "hear-primary", "later-config"),
    maxSeen: view,
  }),
  join: define(131, "replica", "Promise me this view.", {
    view,
    epoch: uint(),
    lastActView: view,
    /** The replica that is to leave the config with this view. */
    removes: optional(pid),
  }),
  promised: define(132, "replica", "The promise is on disk; this is my log.", {
    view,
    epoch: uint(),
    last: position,
    /** Where this log begins: what stands at or below is final. */
    floor: index,
    floorView: view,
    hot: bool,
    damaged: bool,
    behind: bool,
    commit: index,
    /** How far the state will have come when the view forms; null when none goes with this log. */
    applied: optional(index),
    /** The VIEW entries of this log from the last formed view on (that one included), oldest first; see `telling`. */
    attempts: list(attempt, 1024),
    /** Where the newest views of this log begin, oldest first. */
    views: list(viewStart, 1024),
  }),
  joinRefused: define(
    133,
    "replica",
    "I have promised a view as great or greater, or have left this one, or you are not in my config.",
    {
      view,
      promised: view,
      reason: oneOf("promised", "later-config"),
    },
  ),
  newView: define(134, "replica", "Bring your log to this base, append this VIEW record, and answer viewOk.", {
    view,
    base: position,
    /** The VIEW record, as on disk. */
    record: bytes(1, limits.recordPayloadBytesMax),
  }),
  viewOk: define(135, "replica", "The VIEW record is on this disk.", { view }),
  append: define(136, "replica", "Records to append after `previous`; everything up to `commit` is committed.", {
    view,
    previous: position,
    commit: index,
    /** Whole log records, back to back, as on disk. */
    records: bytes(0, limits.replicaFrameBytesMax),
  }),
  appendOk: define(137, "replica", "Everything up to `durableIndex` is on this disk.", {
    view,
    durableIndex: index,
    /** Set when an append did not fit: send from after this index. */
    resendAfter: optional(index),
  }),
  commit: define(138, "replica", "Everything up to `commit` is committed.", { view, commit: index }),
  fetch: define(139, "replica", "Send me the log after this point; or say where ours part.", {
    nonce: uint(),
    after: position,
    /** No more than this, but for a record that is longer. */
    bytesMax: uint(),
  }),
  entries: define(140, "replica", "Answers fetch: records that follow `previous`.", {
    nonce: uint(),
    previous: position,
    commit: index,
    lastIndex: index,
    /** The formed view that this replica is a member of at this moment, and has promised no later one; 0 for none. */
    serves: view,
    records: bytes(0, limits.replicaFrameBytesMax),
  }),
  diverged: define(141, "replica", "Answers fetch: my log does not hold that point; this is my view table below it.", {
    nonce: uint(),
    lastIndex: index,
    views: list(viewStart, limits.viewTableMax),
  }),
  forward: define(142, "replica", "Ops of my clients, for the primary of this view, in order.", {
    view,
    /** A sender begins a new stream when it sends again what it has sent before; older streams are void. */
    stream: uint(),
    /** The number within the stream of the first op here, from 0: gaps and repeats are told. */
    first: uint(),
    ops: list(bytes(1, limits.recordPayloadBytesMax), 4096),
  }),
  compacted: define(
    150,
    "replica",
    "Answers fetch: my log begins after that point, at which it was the same as yours.",
    {
      nonce: uint(),
      position,
      policy,
      /** As in entries. */
      serves: view,
      views: list(viewStart, limits.viewTableMax),
      attempts: list(attempt, 1024),
    },
  ),
  snapshotFetch: define(151, "replica", "Send me bytes of this snapshot of the state; null: offer me one.", {
    nonce: uint(),
    snapshot: optional(snapshotName),
    offset: uint(),
    /** No more than this. */
    bytesMax: uint(),
    /** Older ones than at this index are of no use. */
    least: index,
  }),
  snapshotOffer: define(152, "replica", "Answers snapshotFetch: this is the snapshot that I have.", {
    nonce: uint(),
    snapshot: snapshotName,
  }),
  snapshotPart: define(153, "replica", "Answers snapshotFetch.", {
    nonce: uint(),
    offset: uint(),
    bytes: bytes(0, limits.snapshotPartBytes),
  }),
  probe: define(144, "replica", "Is the view you speak of formed now?", { nonce: uint() }),
  probeReply: define(145, "replica", "Answers probe with what holds at this moment.", {
    nonce: uint(),
    installed: view,
    formed: bool,
    hot: bool,
    epoch: uint(),
    lastIndex: index,
    lastView: view,
    members: list(member, limits.replicasMax),
  }),
} as const;
