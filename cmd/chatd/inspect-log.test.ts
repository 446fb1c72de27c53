/**
 * `chatd inspect-log` on the golden logs: its output, its exit status, its flags. When the format or the output changes on
 * purpose: `UPDATE_GOLDEN=1 bun test cmd/chatd/inspect-log.test.ts` writes `fixtures/logs` anew; read the difference.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDisk } from "../../lib/io/disk.ts";
import { LogRefusedError } from "../../lib/log/errors.ts";
import { identity, makeEntry, type Entry } from "../../lib/log/log.fixture.ts";
import { openLog } from "../../lib/log/wal.ts";
import { goldenLogs } from "./golden-logs.fixture.ts";

const root = join(import.meta.dir, "..", "..");
const fixtures = join(root, "fixtures", "logs");
const rewrite = process.env["UPDATE_GOLDEN"] === "1";
const quiet = { persisted: (): void => {}, failed: (): void => {} };
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "chatd-inspect-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Ran {
  readonly output: string;
  readonly error: string;
  readonly status: number;
}

async function inspectLog(...words: string[]): Promise<Ran> {
  const child = Bun.spawn({
    cmd: [process.execPath, join(root, "cmd/chatd/main.ts"), "inspect-log", ...words],
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, error, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { output, error, status };
}

function golden(name: string, text: string): void {
  const file = join(fixtures, name);
  if (rewrite) writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, "utf8"));
}

/** Copies a golden log to where it may be changed. */
function copyOf(name: string): string {
  const directory = mkdtempSync(join(scratch, `${name}-`));
  for (const file of readdirSync(join(fixtures, name)).filter((each) => each.endsWith(".wal"))) {
    writeFileSync(join(directory, file), readFileSync(join(fixtures, name, file)));
  }
  return directory;
}

for (const [name, { make, status }] of Object.entries(goldenLogs)) {
  describe(`the golden log "${name}"`, () => {
    const directory = join("fixtures", "logs", name);

    test("is what this build writes, byte for byte", () => {
      const disk = make();
      const folder = join(fixtures, name);
      if (rewrite) {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder, { recursive: true });
        for (const file of disk.list()) writeFileSync(join(folder, file), disk.contentOf(file));
      }
      expect(readdirSync(folder).filter((file) => file.endsWith(".wal"))).toEqual(disk.list());
      for (const file of disk.list()) {
        expect(Buffer.from(disk.contentOf(file)).equals(readFileSync(join(folder, file)))).toBe(true);
      }
    });

    test(`is shown as written down, with status ${status}`, async () => {
      const [text, json, verdict] = await Promise.all([
        inspectLog(directory),
        inspectLog(directory, "--json"),
        inspectLog(directory, "--verify"),
      ]);
      for (const ran of [text, json, verdict]) expect(ran.status).toBe(status);
      golden(`${name}/default.txt`, text.output + text.error);
      golden(`${name}/json.txt`, json.output);
      golden(`${name}/verify.txt`, verdict.output + verdict.error);
      for (const line of json.output.split("\n").slice(0, -1)) JSON.parse(line);
    });
  });
}

describe("opening a golden log", () => {
  test("finds what its name says", () => {
    const open = (name: string) => openLog(openDisk(copyOf(name)), identity, quiet);
    expect(open("sound").report).toMatchObject({ torn: null, damage: [] });
    expect(open("format-1").report).toMatchObject({ entries: 24, torn: null, damage: [] });
    expect(open("compacted").recovered.beginning?.position.index).toBeGreaterThan(10);
    expect(open("superseded").orphans()).toHaveLength(2);
    expect(open("torn").report.torn).toMatchObject({ file: "00000002.wal", keptIn: "00000002.torn" });
    expect(open("corrupt").report.damage).toHaveLength(1);
    expect(() => open("newer")).toThrow(LogRefusedError);
  });
});

describe("inspect-log", () => {
  const sound = join("fixtures", "logs", "sound");
  const indexes = ({ output }: Ran): number[] =>
    output
      .split("\n")
      .slice(0, -1)
      .map((line) => Number(JSON.parse(line).index));

  test("narrows down by index, kind, view, op and number", async () => {
    const [range, kinds, view, op, limit] = await Promise.all([
      inspectLog(sound, "--json", "--from", "3", "--to", "5"),
      inspectLog(sound, "--json", "--kind", "view,act"),
      inspectLog(sound, "--json", "--view", "2.2", "--kind", "op"),
      inspectLog(sound, "--json", "--op", "bbbbbbbb-1111-4222-8333-444455556666/9"),
      inspectLog(sound, "--json", "--limit", "4", "--kind", "op"),
    ]);
    expect(indexes(range)).toEqual([3, 4, 5]);
    expect([...(kinds.output.match(/"kind":"\w+"/g) ?? [])]).toEqual(
      ["view", "act", "view", "act"].map((kind) => `"kind":"${kind}"`),
    );
    expect(indexes(view)).toEqual([23, 24]);
    expect(indexes(op)).toEqual([24]);
    expect(indexes(limit)).toEqual([3, 4, 5, 6]);
  });

  test("never shows secrets, and bodies only when asked", async () => {
    const [plain, bodies] = await Promise.all([inspectLog(sound, "--json"), inspectLog(sound, "--show-bodies")]);
    expect(plain.output).not.toContain("message 3");
    expect(bodies.output).toContain("message 3 to bob");
    for (const { output } of [plain, bodies]) {
      expect(output).not.toContain("argon2id");
      expect(output).not.toContain("7777777777");
      for (const moving of ["\u001b", "\u202e"]) expect(output).not.toContain(moving);
    }
  });

  test("counts", async () => {
    const { output, status } = await inspectLog(sound, "--stats", "--json");
    expect(status).toBe(0);
    expect(JSON.parse(output)).toMatchObject({
      first: 1,
      last: 24,
      kinds: { op: { records: 20 }, view: { records: 2 } },
    });
  });

  test("compares two logs", async () => {
    const other = join("fixtures", "logs", "superseded");
    const [same, differ] = await Promise.all([
      inspectLog(sound, "--compare", sound),
      inspectLog(sound, "--compare", other),
    ]);
    expect(same).toMatchObject({ status: 0, error: "" });
    expect(same.output).toMatch(/^the same: 24 entries/);
    expect(differ.status).toBe(3);
    expect(differ.output).toMatch(/^the same up to index 24, where .*sound ends; .*superseded goes on for 3 more/);
  });

  test("takes a data directory, a log directory or one segment, and leaves other files alone", async () => {
    const data = mkdtempSync(join(scratch, "data-"));
    mkdirSync(join(data, "log"));
    for (const file of readdirSync(copyOf("sound"))) {
      writeFileSync(join(data, "log", file), readFileSync(join(fixtures, "sound", file)));
    }
    writeFileSync(join(data, "log", "00000009.corrupt"), "x");
    writeFileSync(join(data, "log", "next.tmp"), "x");
    const [whole, second] = await Promise.all([
      inspectLog(data, "--json", "--kind", "op"),
      inspectLog(join(data, "log", "00000002.wal"), "--json", "--kind", "op"),
    ]);
    expect(indexes(whole)).toHaveLength(20);
    expect(second.status).toBe(0);
    expect(indexes(second).length).toBeGreaterThan(1);
    expect(indexes(second)).toEqual(indexes(whole).slice(-indexes(second).length));
    expect(existsSync(join(data, "lock"))).toBe(false);
  });

  test("says what it cannot read, and what it was not asked right", async () => {
    const empty = mkdtempSync(join(scratch, "empty-"));
    const ran = await Promise.all([
      inspectLog(join(scratch, "nowhere")),
      inspectLog(empty),
      inspectLog(join(root, "package.json")),
      inspectLog(),
      inspectLog(sound, "--kinds", "op"),
      inspectLog(sound, "--kind", "ops"),
      inspectLog(sound, "--from", "-1"),
      inspectLog(sound, "--view", "3"),
    ]);
    expect(ran.map(({ status }) => status)).toEqual([4, 4, 4, 64, 64, 64, 64, 64]);
    for (const { error, output } of ran) {
      expect(output).toBe("");
      expect(error).toMatch(/^chatd: [^\n]+\n$/);
    }
  });

  test("is not bothered by a reader that leaves, and loses nothing to a slow one", async () => {
    const directory = mkdtempSync(join(scratch, "large-"));
    const count = 20_000;
    await new Promise<void>((resolve, reject) => {
      const wal = openLog(openDisk(directory), identity, {
        persisted: () => wal.close(() => resolve()),
        failed: reject,
      });
      const records: Uint8Array[] = [];
      let previous: Entry | null = null;
      for (let at = 0; at < count; at++) {
        previous = makeEntry(previous, 257, new Uint8Array(1));
        records.push(previous.bytes);
      }
      wal.append(1, records, 0);
    });
    const command = `"${process.execPath}" "${join(root, "cmd/chatd/main.ts")}" inspect-log "${directory}" --json`;
    const shell = (line: string): Promise<[string, string, number]> => {
      const child = Bun.spawn({ cmd: ["sh", "-c", line], stdio: ["ignore", "pipe", "pipe"] });
      return Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    };
    const [left, slow] = await Promise.all([
      shell(`{ ${command}; echo "status $?" >&2; } | head -1`),
      shell(`${command} | { sleep 1; wc -l; }`),
    ]);
    expect(left[0].split("\n")).toHaveLength(2);
    expect(left[1]).toBe("status 0\n");
    expect(Number(slow[0])).toBeGreaterThan(count);
  });
});
