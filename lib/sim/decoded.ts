/**
 * Records decoded once: in one process the same bytes go through many hands, each of which wants to know what they are.
 * Bytes that were handed out as a record never change.
 */
import { decodeRecord, type LogRecord, type RecordFault } from "../protocol/record.ts";

const known = new WeakMap<Uint8Array, LogRecord>();

export function decodedRecord(bytes: Uint8Array): LogRecord | RecordFault {
  const found = known.get(bytes);
  if (found !== undefined) return found;
  const record = decodeRecord(bytes, 0);
  if (typeof record !== "string") known.set(bytes, record);
  return record;
}
