/** What of a conversation is on the journal when it is entered, left, covered by a page and entered again. */
import { expect, test } from "bun:test";
import type { ChatMessage } from "../protocol/messages.ts";
import { ConversationList } from "./conversation-list.ts";
import { FakeClient } from "./fake-client.fixture.ts";
import { OpenConversation } from "./open-conversation.ts";
import type { Line, ShownMessage, Surface } from "./surface.ts";
import { asciiSymbols } from "./theme.ts";

async function signedIn() {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password", mia: "mia-password" });
  await client.request({ type: "login", user: "bob", password: "bob-password" });
  const bob = client.accounts.get("bob");
  if (bob === undefined) throw new Error("bob has an account");
  const list = new ConversationList(client, () => {});
  const printed: string[] = [];
  const surface = {
    symbols: asciiSymbols,
    say: ({ text }: Line) => void printed.push(text),
    message: ({ text }: ShownMessage) => void printed.push(text),
  } as unknown as Surface;
  const enter = async (conversation: OpenConversation): Promise<string[]> => {
    printed.length = 0;
    await list.load();
    await conversation.enter(Promise.resolve());
    return [...printed];
  };
  const write = (from: string, count: number, word: string): ChatMessage[] =>
    Array.from({ length: count }, (_, at) => client.message(from, "bob", `${word} ${at + 1}`));
  return { bob, list, printed, enter, write, open: () => new OpenConversation("carol", surface, client, list, null) };
}

test("however much waits in the inbox, what was said last is shown last", async () => {
  const { bob, list, enter, write, open } = await signedIn();
  const waiting = [...write("mia", 150, "mia"), ...write("carol", 300, "carol")];
  bob.inbox.push(...waiting.map((message) => ({ ...message, inbox: true })));
  const shown = await enter(open());
  expect(shown.at(-1)).toBe("carol 300");
  expect(shown).toContain("PageUp shows older ones");
  expect(list.inbox).toBe(0);
});

test("a gap is told when more has come since it was left than is shown", async () => {
  const { bob, enter, write, open } = await signedIn();
  const conversation = open();
  bob.messages.push(...write("carol", 3, "early").map((message) => ({ ...message, read: true })));
  expect(await enter(conversation)).not.toContain("PageUp shows older ones");
  bob.messages.push(...write("carol", 2, "few"));
  expect(await enter(conversation)).toEqual(["2 new messages:", "few 1", "few 2"]);
  bob.messages.push(...write("carol", 300, "many"));
  const shown = await enter(conversation);
  expect([shown[0], shown.at(-1)]).toEqual(["PageUp shows older ones", "many 300"]);
});

test("older ones do not come below newer ones when some were deleted meanwhile", async () => {
  const { bob, enter, write, open } = await signedIn();
  bob.messages.push(...write("carol", 30, "message").map((message) => ({ ...message, read: true })));
  const conversation = open();
  expect((await enter(conversation)).at(-1)).toBe("message 30");
  bob.messages.splice(25, 3);
  bob.messages.push(...write("carol", 1, "new"));
  expect(await enter(conversation)).toEqual(["1 new message:", "new 1"]);
});

test("left and entered again before the first answer has come, it shows each message once", async () => {
  const { bob, list, printed, write, open } = await signedIn();
  bob.messages.push(...write("carol", 2, "message"));
  await list.load();
  const conversation = open();
  await Promise.all([conversation.enter(Promise.resolve()), conversation.enter(Promise.resolve())]);
  expect(printed.filter((text) => text.startsWith("message"))).toEqual(["message 1", "message 2"]);
});
