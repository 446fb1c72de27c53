/** What a connection that stands looks like to the users of the client, from what its replica says of itself. Pure. */
import { formatView } from "../protocol/ids.ts";
import type { Link } from "./link.ts";
import type { ConnectionState } from "./types.ts";

export type Standing = Extract<ConnectionState, { state: "connected" | "reconnected" }>;

const nowhere = { replica: 0, primary: 0, view: 0, copies: 0, provisional: false };

/** `afterMs`: for how long there was none. */
export function standingOn(link: Link, state: Standing["state"], afterMs: number): Standing {
  const { address, place } = link;
  const { replica, primary, view, copies, provisional } = place ?? nowhere;
  return { state, address, replica, primary, view: formatView(view), copies, provisional, afterMs };
}
