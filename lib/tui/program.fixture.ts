/**
 * The chat over a `FakeClient` as a program of its own, for tests that run it in a pseudo-terminal. What happens to the
 * client is told over the channel to the parent process. `bun lib/tui/program.fixture.ts` also works by hand.
 */
import { detectCapabilities, runInteractive } from "./interactive.ts";
import { FakeClient, type Happening } from "./fake-client.fixture.ts";

// What is shown does not depend on when a test runs.
const nowMs = Date.UTC(2026, 0, 5, 9, 30);
Date.now = () => nowMs;

const client = new FakeClient({ bob: "bob-password", carol: "carol-password", mia: "mia-password" });
const bob = client.accounts.get("bob");
if (bob !== undefined) {
  const waiting = [client.message("carol", "bob", "lunch?"), client.message("mia", "bob", "hello")];
  const session = { since: nowMs, usedAt: nowMs, replica: 1, software: "chatd" };
  bob.sessions.push(
    { ...session, session: "5b", attached: true, current: true },
    { ...session, session: "d0", attached: false, current: false },
  );
  bob.inbox.push(...waiting.map((message) => ({ ...message, inbox: true })));
}

process.on("message", (happening: Happening) => client.happen(happening));

const { plain, colour, unicode } = detectCapabilities(process.env, process.stdin, process.stdout);
const user = process.env["CHAT_USER"];
process.exitCode = await runInteractive(client, {
  ...(user === undefined ? {} : { user }),
  plain,
  colour,
  unicode,
  idleLogoutSeconds: Number(process.env["CHAT_IDLE"] ?? "0"),
  input: process.stdin,
  output: process.stdout,
  giveUpMs: 30_000,
  complain: (line) => console.error(line),
});
// Nothing more is wanted from the parent: without this the channel would keep the process alive.
process.disconnect?.();
