/**
 * What the client tells, as the lines that scripts read: `--json`, and `--follow --json` alike. The connection is told
 * only when something about it is news. Writes nothing itself.
 */
import type { ClientEvent, ConnectionState } from "../client/types.ts";
import { formatOpId } from "../protocol/ids.ts";
import { showMessage } from "./json-commands.ts";

export type JsonLine = Readonly<Record<string, unknown>>;

/** Every event but those of the connection. */
export function showEvent(event: Exclude<ClientEvent, { type: "connection" }>): JsonLine {
  switch (event.type) {
    case "message":
      return { event: "message", ...showMessage(event.message) };
    case "changed":
      return { event: "changed", what: event.what, ids: event.ids.map(formatOpId) };
    case "presence":
      return { event: "presence", user: event.user, online: event.online, lastSeen: event.lastSeenAt };
    case "notice":
      return { event: "notice", text: event.text };
    case "logged-out":
      return { event: "logged-out", reason: event.reason };
  }
}

const nowhere = { replica: null, primary: null, view: null };

export class ShownConnection {
  #shown: JsonLine = {};

  /** Something has been told of it. */
  get isKnown(): boolean {
    return "event" in this.#shown;
  }

  /** The line to be written; null when it would be no news. The first one waits until it is known whether there is a server. */
  show(connection: ConnectionState): JsonLine | null {
    switch (connection.state) {
      case "connecting":
        return this.isKnown ? this.#news({ event: "connection", state: "reconnecting", ...nowhere }) : null;
      case "connected":
      case "reconnected": {
        const { replica, primary, view } = connection;
        return this.#news({ event: "connection", state: "connected", replica, primary, view });
      }
      case "offline":
      case "closed":
        return this.#news({ event: "connection", state: "offline", ...nowhere, reason: connection.reason });
    }
  }

  /** The reason why it is offline may change many times. */
  #news(line: JsonLine): JsonLine | null {
    const isAway = line["state"] !== "connected";
    const known = isAway
      ? this.#shown["state"] === line["state"]
      : Object.entries(line).every(([field, value]) => this.#shown[field] === value);
    if (known) return null;
    this.#shown = line;
    return line;
  }
}
