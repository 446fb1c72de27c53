/** What was told of who comes and goes against lists, and the words for it. */
import { expect, test } from "bun:test";
import { FakeClient } from "./fake-client.fixture.ts";
import { runLines } from "./plain-run.fixture.ts";
import { Presence, seenSentence, seenText } from "./presence.ts";

const atMs = new Date(2026, 0, 5, 14, 2).getTime();
const listed = { user: "Carol", online: false, lastSeenAt: null };

test("what was told counts more than a list, until the connection is lost", () => {
  const presence = new Presence();
  expect(presence.of(listed)).toEqual(listed);
  presence.happened({ type: "presence", user: "carol", online: true, lastSeenAt: null });
  expect(presence.of(listed).online).toBe(true);
  expect(presence.of({ ...listed, user: "mia" }).online).toBe(false);
  presence.happened({ type: "presence", user: "carol", online: false, lastSeenAt: atMs });
  expect(presence.of(listed).lastSeenAt).toBe(atMs);
  presence.clear();
  expect(presence.of(listed)).toEqual(listed);
});

test("in words", () => {
  const gone = { ...listed, lastSeenAt: atMs };
  expect(seenText({ online: true, lastSeenAt: null }, atMs)).toBe("online");
  expect(seenText(gone, atMs)).toBe("last seen 14:02");
  expect(seenText(gone, atMs + 86_400_000)).toBe("last seen 5 Jan 14:02");
  expect(seenSentence(gone, atMs)).toBe("Carol was last seen 14:02");
  expect(seenSentence(listed, atMs)).toBe("Carol is away");
});

test("the list of accounts says who was seen when", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password", mia: "mia-password" });
  client.happen({ do: "presence", user: "carol", online: false, lastSeenAt: atMs });
  const { text } = await runLines(client, ["/accounts"]);
  expect(text).toMatch(/online: bob\n {2}away: carol \(last seen .*14:02\), mia\n/);
});
