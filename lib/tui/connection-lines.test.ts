/** What is said of the connection, over a client whose connection the test cuts and mends. */
import { expect, test } from "bun:test";
import { ConnectionLines } from "./connection-lines.ts";
import type { Line, Surface } from "./surface.ts";
import { FakeClient } from "./fake-client.fixture.ts";
import { asciiSymbols } from "./theme.ts";

interface Seen {
  readonly client: FakeClient;
  readonly lines: ConnectionLines;
  readonly said: string[];
  readonly standing: (string | null)[];
}

function start(): Seen {
  const said: string[] = [];
  const standing: (string | null)[] = [];
  const surface: Pick<Surface, "say" | "standing" | "symbols" | "unattended"> = {
    unattended: null,
    symbols: asciiSymbols,
    say: (line: Line) => said.push(line.text),
    standing: (line: Line | null) => standing.push(line?.text ?? null),
  };
  const client = new FakeClient();
  return {
    client,
    lines: new ConnectionLines(client, surface, { giveUpMs: 30_000, complain: () => {} }),
    said,
    standing,
  };
}

/** Waits for a number of lines to have been said. */
async function until(said: readonly string[], length: number): Promise<void> {
  while (said.length < length) await new Promise((resolve) => setImmediate(resolve));
}

test("says at first where it is and on how many disks messages are kept", async () => {
  const { lines, said } = start();
  await until(said, 1);
  expect(said).toEqual(["connected to replica 1 (127.0.0.1:1538) - messages are kept on 3 disks"]);
  expect(lines.replicas).toBe(3);
  lines.stop();
});

test("a quick move to another replica is one line, and fewer copies another", async () => {
  const { client, lines, said } = start();
  await until(said, 1);
  client.happen({ do: "lose" });
  client.happen({ do: "find", replica: 2, afterMs: 143, copies: 2 });
  await until(said, 3);
  client.happen({ do: "find", replica: 2, afterMs: 0, copies: 3 });
  await until(said, 4);
  expect(said.slice(1)).toEqual([
    "replica 1 lost - now on replica 2 after 143 ms",
    "a replica is away: messages are kept on 2 of 3 disks now",
    "a replica is back: messages are kept on 3 disks now",
  ]);
  lines.stop();
});

test("a long absence is said when it begins and when it is over, the reason once", async () => {
  const { client, lines, said, standing } = start();
  await until(said, 1);
  client.happen({ do: "lose" });
  client.happen({ do: "offline", reason: "127.0.0.1:1538 refused the connection" });
  client.happen({ do: "offline", reason: "127.0.0.1:2538 refused the connection" });
  expect(standing.at(-1)).toBe("o not connected: lines wait to be sent");
  client.happen({ do: "find", replica: 1, afterMs: 5200, copies: 3 });
  await until(said, 4);
  expect(said.slice(1)).toEqual([
    "replica 1 lost - looking for another",
    "no replica can be reached, trying on\n127.0.0.1:1538 refused the connection",
    "now on replica 1 after 5.2 s",
  ]);
  expect(standing.at(-1)).toBeNull();
  lines.stop();
});
