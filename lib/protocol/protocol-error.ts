/**
 * The one error of the wire: bytes or values that break the protocol. Knows nothing of codecs or connections.
 */
import { limits } from "../base/limits.ts";
import type { FrameOf } from "./messages.ts";

export type ProtocolErrorCode = FrameOf<"error">["code"];

/**
 * What a peer sent (or what was to be sent) is not in the protocol. `code` and `message` go into the `error` frame as
 * they are; the message names frame, field and fault, never a value, so it can be shown and logged.
 */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  constructor(
    readonly code: ProtocolErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** The frame that says why the sender closes the connection. */
export function errorFrame(code: ProtocolErrorCode, message: string): FrameOf<"error"> {
  return {
    type: "error",
    code,
    message,
    versionOldest: limits.protocolVersionOldest,
    versionNewest: limits.protocolVersion,
  };
}
