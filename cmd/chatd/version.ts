/** The version of this program: of the build, or of the checkout it runs from. */
import manifest from "../../package.json" with { type: "json" };

declare const CHATD_VERSION: string | undefined;

export const version: string = typeof CHATD_VERSION === "string" ? CHATD_VERSION : manifest.version;

/** What the wire calls this program. */
export const software = `chatd ${version}`;
