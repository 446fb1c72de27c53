/**
 * The ids of a session's ops: hyperid's uuid is the session, hyperid's counter is the seq. Owns nothing else.
 * Ids are guessable and no secret (the token is), and say nothing about order (log indices do).
 */
import hyperid from "hyperid";
import { assert } from "../base/assert.ts";
import type { OpIds } from "./types.ts";

/**
 * Ids of a new session. The instance is asked for nothing but ids of ops, so that its counter is 0 for the registration
 * and then 1, 2, 3 … without gaps. hyperid draws a new uuid after 2^31 − 1 ids: that session may not go on.
 */
export function hyperidIds(): OpIds {
  const instance = hyperid();
  const session = instance.uuid;
  return {
    session,
    next() {
      const id = instance();
      assert(instance.uuid === session, "a session makes fewer than 2^31 ops");
      // Cheaper than decode(), which also unpacks the uuid: the counter follows the last slash.
      return Number(id.slice(id.lastIndexOf("/") + 1));
    },
  };
}

/** Goes on with a saved session: hyperid cannot be given a uuid, so that the counter is kept here. */
export function continuedIds(session: string, next: number): OpIds {
  let counter = next;
  return { session, next: () => counter++ };
}
