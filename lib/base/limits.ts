/**
 * Every limit of chatd in one place, with the relations between them asserted at load.
 * The README's table of limits derives from here. Nothing here may depend on state, time or flags.
 */
import { assert } from "./assert.ts";

export const limits = {
  /** Version of the wire protocol spoken by this build, and the oldest one it still accepts. */
  protocolVersion: 1,
  protocolVersionOldest: 1,

  /** Largest frame accepted from a client, in bytes after the length prefix. */
  clientFrameBytesMax: 64 * 1024,
  /** Largest frame between replicas, and from a replica to a client, in bytes after the length prefix. */
  replicaFrameBytesMax: 4 * 1024 * 1024,
  /** Deepest nesting of arrays in a frame. */
  frameDepthMax: 16,

  /** Largest payload of one log record, in bytes. */
  recordPayloadBytesMax: 1024 * 1024,
  /** Size of one log segment, in bytes, header included. */
  segmentBytes: 16 * 1024 * 1024,
  /** Records sent in one APPEND frame, in bytes together. */
  batchBytesMax: 1024 * 1024,
  /** Log records sent at once to one who fetches them: whoever reads them for it has clients that wait meanwhile. */
  entriesBytesMax: 128 * 1024,
  /** Bytes of a snapshot sent in one frame. */
  snapshotPartBytes: 256 * 1024,
  /** Beginnings of views that are remembered of what stands before the first entry of a log. */
  viewTableMax: 16_384,
  /** Entries handed to the state machine in one batch. */
  applyBatchEntriesMax: 512,

  /** Ops of one session that may be unacknowledged at once. */
  sessionWindow: 64,
  /** Bytes queued towards one slow reader before it is disconnected. */
  sendQueueBytesMax: 16 * 1024 * 1024,
  /** Seconds that a new connection has for its hello, and that a client may be silent after it. */
  helloSeconds: 5,
  idleSeconds: 30,
  /** Seconds for which a session stays attached whose connection was lost. */
  graceSeconds: 10,
  /** Days after which a session that nobody holds and nobody has used is forgotten. */
  sessionDays: 30,

  pidMax: 255,
  replicasMax: 7,

  userNameCharactersMax: 32,
  passwordBytesMin: 8,
  passwordBytesMax: 256,
  textBytesMax: 4096,
  patternBytesMax: 256,
  searchSkipMax: 10_000,
  /** Drafts that an account may make. A merge can leave more; so many are listed. */
  draftsMax: 100,
  draftListMax: 400,
  pageMax: 200,
  openMax: 200,
  jsonLineBytesMax: 64 * 1024,
} as const;

assert(limits.clientFrameBytesMax > 4 * limits.textBytesMax, "a client frame holds the longest text");
assert(limits.recordPayloadBytesMax > limits.clientFrameBytesMax, "a record holds whatever a client frame holds");
assert(limits.replicaFrameBytesMax > 2 * limits.batchBytesMax, "a replica frame holds a batch and one more record");
assert(
  limits.replicaFrameBytesMax > 2 * limits.draftListMax * limits.textBytesMax,
  "a frame holds the longest list of drafts",
);
assert(limits.segmentBytes > 2 * limits.recordPayloadBytesMax, "a segment holds at least one record");
