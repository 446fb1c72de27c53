/**
 * A newcomer's session, from `bun start` to the first answered message, on real replicas: in fewer than ten presses of
 * keys besides the texts. `fixtures/screens/newcomer.txt` tells it screen by screen; `UPDATE_GOLDEN=1 bun test
 * cmd/cluster/newcomer.test.ts` writes it anew.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pty } from "../../lib/tui/pty.fixture.ts";
import { ensureBuilt } from "../tasks/build.ts";
import { bun, root } from "../tasks/run.ts";
import { JsonClient } from "./json-client.ts";
import { freePorts } from "./ports.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(120_000);

const golden = join(root, "fixtures", "screens", "newcomer.txt");
const keyPressesMax = 9;
const ports = freePorts(3);
const servers = ports.map((port) => `127.0.0.1:${port}`);
let directory = "";

beforeAll(async () => {
  await ensureBuilt();
  directory = await mkdtemp(join(tmpdir(), "chatd-newcomer-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What differs from run to run and means nothing: times of day, ports, which replica was nearest. */
function normalised(row: string): string {
  return row
    .replace(/\b\d\d:\d\d\b/g, "09:30")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:1538")
    .replace(/\breplica \d/g, "replica 1");
}

test("from bun start to the first answered message in fewer than ten key presses", async () => {
  const environment = {
    CHATD_PEERS: servers.map((address, at) => `${at + 1}=${address}`).join(","),
    XDG_STATE_HOME: directory,
  };
  await using pty = new Pty({
    command: [bun, "run", "--cwd", root, "start"],
    environment,
    patienceMs: 60_000,
  });
  const story: string[] = ["$ bun start"];
  let keyPresses = 0;
  /** One step: what is on the screen once `isThere` holds. */
  const look = async (what: string, isThere: () => boolean): Promise<void> => {
    await pty.until(what, isThere);
    const begins = pty.rows.findIndex((row) => row.startsWith("Your user name"));
    const rows = pty.rows.slice(Math.max(begins, 0)).filter((row) => row !== "");
    story.push("", ...rows.map((row) => `    ${normalised(row)}`));
  };
  const press = (text: string, key: "Enter" | "w"): void => {
    keyPresses += 1;
    pty.type(text + (key === "Enter" ? "\r" : key));
    story.push("", text === "" ? `> ${key}` : `> types ${text}, ${key}`);
  };

  await look("the name is asked for", () => pty.cursorRow === "User name:" && pty.text.includes("on 3 disks"));
  const friend = new JsonClient(servers);
  await friend.signIn("bob", "bob-password");
  press("alice", "Enter");
  await look("a password is asked for", () => pty.cursorRow === "New password:");
  press("alice-password", "Enter");
  await pty.prompt("Once more:");
  press("alice-password", "Enter");
  await look("home is there", () => pty.rows[0]?.startsWith("chatd · alice") === true);
  press("", "w");
  await pty.until("it asks to whom", () => pty.cursorRow === "To (Tab completes):");
  press("bob", "Enter");
  await look(
    "the conversation is there",
    () => pty.cursorRow === "alice → bob ›" && pty.text.includes("bob is online"),
  );
  press("hello bob", "Enter");
  await friend.until("the message has come", () => friend.received.length === 1);
  await pty.see("hello bob · on 3 disks");
  await friend.must({ do: "send", to: "alice", text: "hello alice, welcome" });
  await look("the answer is there", () => pty.text.includes("bob: hello alice, welcome"));
  story.push("", `${keyPresses} key presses besides the texts.`, "");
  expect(keyPresses).toBeLessThanOrEqual(keyPressesMax);
  await friend.end();
  pty.type("\x03\x03");
  expect(await pty.exited()).toBe(0);

  const told = story.join("\n").replaceAll("alice-password", "(a password)");
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, told);
  expect(told).toBe(readFileSync(golden, "utf8"));
});
