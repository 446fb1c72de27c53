/** Processes of alice that keep an outbox, over a scripted cluster on which bob reads: for the tests of the outbox. */
import { expect } from "bun:test";
import { createClient, resumeClient } from "./client.ts";
import { addresses, cluster, loggedIn, network, password, renew, settled } from "./client.fixture.ts";
import { openOutbox, type Outbox, type OutboxEvent, type OutgoingMessage } from "./outbox.ts";
import { Life, MemoryDisk } from "./private-files.fixture.ts";
import type { ChatClient } from "./types.ts";

/** That of the test that runs now. */
export let disk: MemoryDisk;
let drawn = 0;

export interface Run {
  readonly life: Life;
  readonly client: ChatClient;
  readonly outbox: Outbox;
  readonly events: OutboxEvent[];
  /** Texts that are known to be on disk. */
  readonly accepted: string[];
  signIn(): Promise<boolean>;
  /** Another outbox of the same process, for who signs in again. */
  reopen(): Outbox;
  send(text: string, to?: string): OutgoingMessage;
}

/** A process of alice, not signed in yet; `laterMs`: so much later by the clock of its machine. */
export function begin(servers: readonly string[] = addresses, laterMs = 0): Run {
  const life = new Life(disk, network);
  const randomBytes = (length: number) => new Uint8Array(length).fill(++drawn);
  const ports = { transport: life.transport, clock: life.clock, randomBytes };
  const client = createClient({ servers }, ports);
  const resume = (session: Parameters<typeof resumeClient>[0]) => resumeClient(session, { servers }, ports);
  const clock = { ...life.clock, wallMs: () => life.clock.wallMs() + laterMs };
  const reopen = () => openOutbox(servers, { files: life.files, clock, randomBytes, resume });
  const outbox = reopen();
  const events: OutboxEvent[] = [];
  outbox.on((event) => void events.push(event));
  const accepted: string[] = [];
  return {
    life,
    client,
    outbox,
    events,
    accepted,
    reopen,
    async signIn() {
      let isIn = false;
      void client.request({ type: "login", user: "alice", password }).then((answer) => {
        if (answer.type !== "loggedIn") return;
        outbox.signedIn(client, password);
        isIn = true;
      });
      await network.run(5000, () => isIn || !life.isAlive);
      return isIn;
    },
    send(text, to = "bob") {
      const message = outbox.send(to, text);
      message.kept.then(
        () => life.isAlive && accepted.push(text),
        () => {},
      );
      return message;
    },
  };
}

/** What has arrived, in order. */
export function arrived(): string[] {
  const [bob] = [...cluster.sessions.values()].filter(({ user }) => user === "bob");
  return bob?.messages.map(({ text }) => text) ?? [];
}

/** Ends as a process that is left in order. */
export async function end(run: Run): Promise<void> {
  await settled(run.outbox.settled());
  await settled(run.client.close());
  await settled(run.outbox.close());
}

/** The next process: signs in, lets everything go out, ends. */
export async function finish(laterMs = 0): Promise<Run> {
  const run = begin(addresses, laterMs);
  expect(await run.signIn()).toBeTrue();
  await end(run);
  return run;
}

export const troubles = ({ events }: Run) => events.flatMap((event) => (event.type === "trouble" ? [event.text] : []));

/** A new cluster with both accounts, and an empty disk; before each test. */
export async function renewAll(): Promise<void> {
  disk = new MemoryDisk();
  await renewCluster();
}

/** A new cluster with both accounts; the disk stays. */
export async function renewCluster(): Promise<void> {
  await renew();
  await loggedIn("bob");
  cluster.accounts.set("alice", password);
}
