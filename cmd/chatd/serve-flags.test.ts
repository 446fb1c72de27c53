/** The flags of `serve`: what is accepted, in which spelling, and the one line for everything that is not. */
import { describe, expect, test } from "bun:test";
import { CommandFailure } from "./failure.ts";
import { checkFlags, defaultPeers, parsePeers, type ServeFlags } from "./serve-flags.ts";

const flags = (changed: Partial<ServeFlags> = {}): ServeFlags => ({
  pid: 1,
  peers: defaultPeers,
  policy: "available",
  heartbeatMs: 100,
  timeoutMs: 1000,
  recoveryWaitMs: 10_000,
  logLevel: "info",
  logFormat: "text",
  ...changed,
});

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    expect(error.status).toBe(64);
    expect(error.message).not.toContain("\n");
    return error.message;
  }
  throw new Error("nothing was refused");
}

describe("--peers", () => {
  test("takes names, numbers and IPv6 in brackets, with blanks, in any order", () => {
    expect(parsePeers(" 2=[2001:DB8::1]:1538, 7=Chat-7.Example:2538 ,1=10.0.0.1:1538")).toEqual([
      { pid: 2, address: "[2001:db8::1]:1538", uuid: null },
      { pid: 7, address: "chat-7.example:2538", uuid: null },
      { pid: 1, address: "10.0.0.1:1538", uuid: null },
    ]);
  });

  const wrong: [text: string, says: string][] = [
    ["", "empty entry"],
    ["1=a:1,", "empty entry"],
    ["1", '"1" is not PID=HOST:PORT'],
    ["x=a:1", '"x=a:1" is not PID=HOST:PORT'],
    ["1=here", "the port is missing"],
    ["1=here:", "the port is missing"],
    ["1=here:0", "a port is from 1 to 65535"],
    ["1=here:65536", "a port is from 1 to 65535"],
    ["1=2001:db8::1:1538", "an IPv6 address goes in brackets"],
    ["1=a b:1", "is not PID=HOST:PORT"],
    ["1=http://a:1", "is not PID=HOST:PORT"],
    ["0=a:1", "a pid is from 1 to 255"],
    ["256=a:1", "a pid is from 1 to 255"],
    ["1=a:1,1=b:1", "names replica 1 twice: a:1 and b:1"],
    ["1=a:1,2=A:1", "gives replicas 1 and 2 one address, a:1"],
    ["1=a:1,2=a:2,3=a:3,4=a:4,5=a:5,6=a:6,7=a:7,8=a:8", "at most 7"],
  ];
  test.each(wrong)("%j is refused", (text, says) => {
    expect(refusal(() => parsePeers(text))).toContain(says);
  });
});

describe("the flags together", () => {
  test("listen at the own entry, and keep data below the state directory", () => {
    const settings = checkFlags(flags({ pid: 3 }), { XDG_STATE_HOME: "/var/state" });
    expect(settings.listen).toEqual({ host: "127.0.0.1", port: 3538 });
    expect(settings.data).toBe("/var/state/chatd/3");
    expect(settings.warnsOfPlain).toBeFalse();
    // A relative one is to be ignored.
    expect(checkFlags(flags(), { XDG_STATE_HOME: "state" }).data).toEndWith("/.local/state/chatd/1");
    expect(checkFlags(flags({ data: "here" }), {}).data).toBe(`${process.cwd()}/here`);
  });

  test("warn of plain connections beyond loopback until told that this is known", () => {
    const peers = "1=10.0.0.1:1538,2=10.0.0.2:1538";
    expect(checkFlags(flags({ peers }), {}).warnsOfPlain).toBeTrue();
    expect(checkFlags(flags({ peers, insecure: true }), {}).warnsOfPlain).toBeFalse();
    expect(checkFlags(flags({ listen: "[::]:1538" }), {}).warnsOfPlain).toBeTrue();
    expect(checkFlags(flags({ listen: "[::1]:1538" }), {}).warnsOfPlain).toBeFalse();
  });

  test("are refused where they contradict each other", () => {
    expect(refusal(() => checkFlags(flags({ pid: 4 }), {}))).toBe("--pid 4 is not among --peers (1, 2, 3)");
    const { pid: _, ...nameless } = flags();
    expect(refusal(() => checkFlags(nameless, {}))).toContain("--pid N is required");
    expect(refusal(() => checkFlags(flags({ listen: "here" }), {}))).toContain("the port is missing");
    expect(refusal(() => checkFlags(flags({ timeoutMs: 150 }), {}))).toContain("less than two heartbeats");
    expect(refusal(() => checkFlags(flags({ data: "" }), {}))).toContain("--data is empty");
  });
});
