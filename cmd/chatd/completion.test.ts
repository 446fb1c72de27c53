/**
 * Completion as a person has it: real shells in a pseudo-terminal, which take the script that the built executable prints,
 * and a real cluster that is asked for names. What may be offered where: on commander's definitions.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Command, Option } from "commander";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pty } from "../../lib/tui/pty.fixture.ts";
import { Cluster } from "../cluster/cluster.ts";
import { passwordOf } from "../cluster/inquiry.ts";
import { JsonClient } from "../cluster/json-client.ts";
import { freePorts } from "../cluster/ports.ts";
import { ensureBuilt, executable } from "../tasks/build.ts";
import { complete, type Sources } from "./completion.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let directory: string;
let cluster: Cluster;
let servers: string;

beforeAll(async () => {
  await ensureBuilt();
  directory = await mkdtemp(join(tmpdir(), "chatd-completion-"));
  await mkdir(join(directory, "data of one"));
  await writeFile(join(directory, "00000001.wal"), "");
  // It reads hundreds of files; what it finds is kept for the shells of the tests.
  if (Bun.which("zsh") !== null)
    Bun.spawnSync(["zsh", "-fc", "autoload -U compinit; compinit -u -d ./dump"], { cwd: directory });
  cluster = Cluster.inDirectory(directory, { count: 1 });
  servers = cluster.addresses().join(",");
  await cluster.start();
  const client = new JsonClient(cluster.addresses(), { keeper: cluster.keeper });
  for (const user of ["alice", "alina", "Bob", "b.c"]) {
    await client.must({ do: "create", user, password: passwordOf(user) });
  }
  await client.end();
});
afterAll(async () => {
  await cluster.close();
  await rm(directory, { recursive: true, force: true });
});

/** What the hidden command says to the words up to the cursor; of each line the value. */
function offered(words: readonly string[], environment: Readonly<Record<string, string>> = {}): string[] {
  const env = { ...process.env, CHATD_SERVER: servers, ...environment };
  const { exitCode, stdout, stderr } = Bun.spawnSync([executable, "complete", "--", ...words], { env });
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t", 1)[0] ?? "");
}

describe("what is offered", () => {
  const cases: [words: string[], values: string[]][] = [
    [["c"], ["chat", "cluster", "completion"]],
    [["comp"], ["completion"]],
    [
      ["cluster", ""],
      ["status", "add", "remove", "help"],
    ],
    [
      ["cluster", "status", "--"],
      ["--server", "--json", "--help"],
    ],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    [
      ["serve", "--policy", ""],
      ["available", "quorum"],
    ],
    [["serve", "--policy=q"], ["--policy=quorum"]],
    [
      ["serve", "--log-level", ""],
      ["error", "warn", "info", "debug"],
    ],
    [
      ["serve", "--log-"],
      ["--log-level", "--log-format"],
    ],
    [["serve", "--log-level", "warn", "--log-"], ["--log-format"]],
    [
      ["serve", "--pid", ""],
      ["1", "2", "3"],
    ],
    [
      ["serve", "--peers", "7=a:1,9=b:1", "--pid", ""],
      ["7", "9"],
    ],
    [["serve", "--peers", "nonsense", "--pid", ""], []],
    [["serve", "--data", ""], [":files"]],
    [["serve", "--data=x"], [":files"]],
    [["inspect-log", ""], [":files"]],
    [["inspect-log", "here", "--kind", "view,o"], ["view,op"]],
    [
      ["inspect-log", "here", "--v"],
      ["--view", "--verify", "--views"],
    ],
    [
      ["cluster", "remove", "--accept-loss", "--"],
      ["--server", "--json", "--help"],
    ],
    [["chat", "--plain", "--js"], []],
    [["chat", "--json", "--pl"], []],
    [["chat", "--password-file", ""], [":files"]],
    [["chat", "--nonsense="], []],
    [["chat", "--", "--j"], []],
    [
      ["nonsense", ""],
      ["--version", "--help"],
    ],
    [
      ["chat", "--user", ""],
      ["alice", "alina", "b.c", "Bob"],
    ],
    [
      ["chat", "--user=ali"],
      ["--user=alice", "--user=alina"],
    ],
    [["chat", "--user", "alice", "--send", "b"], ["b.c"]],
    [["chat", "--user", "*"], []],
    [["cluster", "remove", ""], ["1"]],
  ];
  test.each(cases)("after %j", (words, values) => {
    expect(offered(words)).toEqual(values);
  });

  test("every subcommand and flag that the help lists, and no other", () => {
    const help = (words: string[]): string => Bun.spawnSync([executable, ...words, "--help"]).stdout.toString();
    const commands = [...help([]).matchAll(/^ {2}([a-z-]+) .* {2}/gm)].map(([, name = ""]) => name);
    expect(offered([""])).toEqual(commands.filter((name) => name !== "chatd"));
    expect(offered([""])).not.toContain("complete");
    for (const words of [["serve"], ["chat"], ["cluster", "add"], ["inspect-log"], []]) {
      const flags = [...help(words).matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = ""]) => flag);
      expect(flags.length).toBeGreaterThan(1);
      expect(offered([...words, "-"]).sort()).toEqual([...new Set(flags)].sort());
    }
  });

  test("names after every flag that takes one, from the servers that the line names", async () => {
    const root = new Command("chatd").addCommand(
      new Command("chat")
        .addOption(
          new Option("--server <LIST>")
            .argParser((text) => text.split("+"))
            .env("SERVERS")
            .default(["default"]),
        )
        .option("--send <NAME>", "to whom"),
    );
    const asked: unknown[] = [];
    const sources: Sources = {
      accounts: async (...question) => (asked.push(question), ["carol"]),
      replicas: async () => [],
    };
    const ask = (environment: Record<string, string>, ...words: string[]) =>
      complete(root, words, environment, sources);
    const carol = { candidates: [{ value: "carol", description: "" }], files: false };
    expect(await ask({}, "chat", "--send", "")).toEqual(carol);
    expect(await ask({ SERVERS: "e+f" }, "chat", "--send", "ca")).toEqual(carol);
    expect(await ask({ SERVERS: "e+f" }, "chat", "--server", "a+b", "--send", "x")).toEqual({
      ...carol,
      candidates: [],
    });
    expect(asked).toEqual([
      [["default"], ""],
      [["e", "f"], "ca"],
      [["a", "b"], "x"],
    ]);
  });

  test("nothing, and soon, when nobody answers", async () => {
    // One refuses, one takes the connection and says nothing.
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const environment = { CHATD_SERVER: `127.0.0.1:${freePorts(1)[0]},127.0.0.1:${silent.port}` };
      const child = Bun.spawn([executable, "complete", "--", "chat", "--user", ""], {
        env: { ...process.env, ...environment },
      });
      expect([await child.stdout.text(), await child.exited]).toEqual(["", 0]);
    } finally {
      silent.stop(true);
    }
  });
});

/** What a shell is started with, so that nobody's own files have a say, and how its script is taken. */
const shells = {
  bash: { command: ["bash", "--noprofile", "--norc", "-i"], begin: "PS1='$ '; source <(chatd completion bash)" },
  zsh: {
    command: ["zsh", "-f", "-i"],
    begin: "PS1='$ '; autoload -U compinit; compinit -C -d ./dump; source <(chatd completion zsh)",
  },
  fish: {
    command: ["fish", "--no-config", "-i"],
    begin:
      "function fish_prompt; echo '$ '; end; function fish_right_prompt; end; set -g fish_autosuggestion_enabled 0; chatd completion fish | source",
  },
};

describe.each(Object.keys(shells) as (keyof typeof shells)[])("in %s", (name) => {
  const { command, begin } = shells[name];
  const where = Bun.which(name);
  if (where === null && name !== "bash") {
    test.skip(`nothing is completed: ${name} is not installed here`, () => {});
    return;
  }

  async function shell(): Promise<Pty> {
    const home = await mkdtemp(join(directory, "home-"));
    const pty = new Pty({
      columns: 100,
      environment: {
        HOME: home,
        XDG_CONFIG_HOME: home,
        XDG_DATA_HOME: home,
        CHATD_SERVER: servers,
        PATH: `${join(executable, "..")}:${process.env["PATH"]}`,
      },
      wrap: () => ["sh", "-c", 'cd "$0" && exec "$@"', directory, where ?? name, ...command.slice(1)],
    });
    // Whatever the shell greets with: what it has been told has been done when this stands in a row of its own.
    pty.type(`${begin}; echo rea""dy\r`);
    await pty.until("the shell is ready", () => pty.rows.includes("ready"));
    await pty.prompt("$");
    return pty;
  }

  const lines: [typed: string, completed: string][] = [
    ["chatd ins", "$ chatd inspect-log"],
    ["chatd serve --heart", "$ chatd serve --heartbeat-ms"],
    ["chatd serve --policy q", "$ chatd serve --policy quorum"],
    ["chatd serve --policy=q", "$ chatd serve --policy=quorum"],
    ["chatd serve --log-level d", "$ chatd serve --log-level debug"],
    ["chatd chat --user alic", "$ chatd chat --user alice"],
    ["chatd chat --user alice --send Bo", "$ chatd chat --user alice --send Bob"],
    ["chatd chat --user=alin", "$ chatd chat --user=alina"],
    [`chatd chat --server=127.0.0.1:1 --server SERVERS --user B`, "--user Bob"],
    ["chatd inspect-log 0000", "$ chatd inspect-log 00000001.wal"],
    ["chatd inspect-log --compare=0000", "$ chatd inspect-log --compare=00000001.wal"],
  ];
  test("subcommands, flags, values, names and files are completed", async () => {
    await using pty = await shell();
    for (const [typed, completed] of lines) {
      pty.type(`${typed.replace("SERVERS", servers)}\t`);
      await pty.until(`"${typed}" is completed`, () => pty.cursorRow.endsWith(completed));
      pty.type("\x15");
      await pty.prompt("$");
    }
  });

  test("what is not alone is listed", async () => {
    await using pty = await shell();
    pty.type("chatd chat --user al\t");
    await pty.until("what they begin with is typed", () => pty.text.includes("chatd chat --user ali"));
    pty.type("\t\t");
    await pty.see("alice");
    await pty.see("alina");
  });

  test("an alias for an executable elsewhere is completed too", async () => {
    await using pty = await shell();
    const alias = join(directory, "it's a place", "chatd");
    if (!existsSync(alias)) await cp(executable, alias);
    const nowhere = name === "fish" ? "set -gx PATH /usr/bin /bin" : "PATH=/usr/bin:/bin";
    const take = name === "fish" ? `"${alias}" completion fish | source` : `source <("${alias}" completion ${name})`;
    pty.type(`${nowhere}; ${take}; alias chatd="it\\\\'s\\\\ a\\\\ place/chatd"; echo do""ne\r`);
    await pty.until("it is done", () => pty.rows.includes("done"));
    pty.type("chatd serve --policy q\t");
    await pty.until("it is completed", () => pty.cursorRow.endsWith("--policy quorum"));
  });
});
