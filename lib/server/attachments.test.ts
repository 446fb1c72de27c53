/** What a process brings into the log for the sessions that it held, and that come back to it. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { openChat } from "../chat/chat.ts";
import { decodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { Attachment } from "../protocol/state-machine.ts";
import { Attachments } from "./attachments.ts";
import { systemSessionOf } from "./identity.ts";

const self = { pid: 2, uuid: "00000000-0000-4000-8000-000000000002", incarnation: 7 };
const session = "00000000-0000-4000-8000-0000000000aa";

/** Those of this process, and what it has asked to be put into the log. `applied`: how far the state has come. */
function ofSelf(applied = (): number => 1_000) {
  const proposed: Command[] = [];
  const attachments = new Attachments(self, systemSessionOf(self), {
    propose: ({ command }) => void proposed.push(decodeCommand(command)),
    common: (place) => place,
    applied,
  });
  return { attachments, proposed };
}

/** A chat in which nobody but these is attached. */
const attached = (...all: Attachment[]) =>
  Object.assign(openChat(new Database(":memory:")), { attachments: () => all });

test("an attachment that has ended, and stands in the log again, is ended again", () => {
  const { attachments, proposed } = ofSelf();
  const state = openChat(new Database(":memory:"));
  const nobody = { isLive: () => true, commitOf: () => ({ index: 0, view: 0 }) };
  const sweepAll = (): void => {
    for (let sweep = 0; sweep <= limits.graceSeconds; sweep++) attachments.sweep(state, false, nobody, () => false);
  };
  const attachment = attachments.next(session);
  attachments.settled(attachments.attach(attachment));
  attachments.standsAgain(attachment);
  sweepAll();
  expect(proposed.map(({ type }) => type)).toEqual(["attach"]);
  attachments.detach(attachment, { index: 10, view: 1 });
  // As long as the end is under way nothing more is asked for.
  attachments.standsAgain(attachment);
  sweepAll();
  expect(proposed.map(({ type }) => type)).toEqual(["attach", "detach"]);
  attachments.settled(2);
  attachments.standsAgain({ ...attachment, incarnation: 6 });
  sweepAll();
  expect(proposed).toHaveLength(2);
  attachments.standsAgain(attachment);
  sweepAll();
  expect(proposed.at(-1)).toEqual({ type: "detach", ...attachment, seen: 10 });
  expect(proposed).toHaveLength(3);
});

test("a session that a living process holds is not detached for having been without one on a lineage that was left", () => {
  const { attachments, proposed } = ofSelf();
  const held = { session, pid: 3, incarnation: 5, number: 1 };
  const state = attached(held);
  let isLive = false;
  const processes = { isLive: () => isLive, commitOf: () => ({ index: 0, view: 0 }) };
  const sweep = (times: number, isPrimary: boolean): void => {
    for (let time = 0; time < times; time++) attachments.sweep(state, isPrimary, processes, () => false);
  };
  // As the primary of a side without 3.
  sweep(15, true);
  expect(proposed).toHaveLength(1);
  // It goes over to the side of 3, which lives, and on whose lineage its client is connected.
  isLive = true;
  attachments.lineageChanged();
  sweep(5, false);
  expect(proposed).toHaveLength(1);
  // Should it be absent there too, that is found once more.
  isLive = false;
  sweep(15, true);
  expect(proposed).toHaveLength(2);
});

test("one that stands again is ended again, whatever is being ended of another process under the same number", () => {
  const { attachments, proposed } = ofSelf();
  const own = attachments.next(session);
  attachments.settled(attachments.attach(own));
  attachments.detach(own, { index: 10, view: 1 });
  attachments.settled(2);
  const others = { session: "00000000-0000-4000-8000-0000000000bb", pid: 3, incarnation: 5, number: own.number };
  const state = attached(others);
  const processes = { isLive: (pid: number) => pid === self.pid, commitOf: () => ({ index: 0, view: 0 }) };
  const sweep = (times: number): void => {
    for (let time = 0; time < times; time++) attachments.sweep(state, true, processes, () => false);
  };
  sweep(15);
  expect(proposed.at(-1)).toMatchObject({ type: "detach", pid: 3 });
  // Its own attach comes out of the log once more, while that is under way.
  attachments.standsAgain(own);
  sweep(limits.graceSeconds);
  expect(proposed.at(-1)).toMatchObject({ type: "detach", pid: self.pid, number: own.number });
});

test("an end is not put into the log before the state, which is built again, has come as far as its client had", () => {
  let applied = 1_000;
  const { attachments, proposed } = ofSelf(() => applied);
  const state = openChat(new Database(":memory:"));
  const nobody = { isLive: () => true, commitOf: () => ({ index: 0, view: 0 }) };
  const sweep = (): void => attachments.sweep(state, false, nobody, () => false);
  const attachment = attachments.next(session);
  attachments.settled(attachments.attach(attachment));
  attachments.detach(attachment, { index: 900, view: 1 });
  expect(proposed).toHaveLength(2);
  // The log goes over to another lineage, which is the same up to 950.
  applied = 300;
  attachments.lineageChanged();
  sweep();
  sweep();
  // Now it might go over to a third one, which is the same up to 500, and keep what was proposed.
  expect(proposed).toHaveLength(2);
  applied = 900;
  sweep();
  expect(proposed.at(-1)).toEqual({ type: "detach", ...attachment, seen: 900 });
  expect(proposed).toHaveLength(3);
});
