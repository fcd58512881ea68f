/**
 * The types of anole.js, the collector of anole.
 *
 * As a module: put `anole.mjs` and this file as `anole.d.mts` side by side, or map the address of the module to this file with
 * `paths` in tsconfig.json. As a script: name this file in `types` or `include`; `window.anole` is then known.
 */

/** Facts about an event or a person. What JSON can write. */
export type Facts = Record<string, unknown>;

/** What a call may say of its own event. */
export interface EventOptions {
  /** Laid over what the collector tells of the page; `page` is laid over its `page`. */
  context?: Facts & { page?: Facts };
  /** Which destinations are meant, as Segment has it: `{ All: false, Kameleoon: true }`. */
  integrations?: Record<string, boolean | Facts>;
  /** When it happened; now when not given. */
  timestamp?: Date | string | number;
  /** Whose it is, for this event only. */
  anonymousId?: string;
  /** By which a repetition is recognised; made when not given. At most 100 characters. */
  messageId?: string;
}

/** What became of a call. */
export interface Result {
  /** The event as it is sent. */
  event: { type: string; messageId: string; [key: string]: unknown };
  /** Whether the server has taken it. If not, it was refused for good, or it is kept and sent later. */
  sent: boolean;
}

/** Called once with what became of an event, after 300 ms at the latest. */
export type Callback = (result: Result) => void;

/** What a visitor agreed to. The words are those of the pipeline: analytics, marketing, and so on. */
export type Consent = Record<string, boolean | 'granted' | 'denied'>;

/** A call that is made before the script is there: `(window.anole = window.anole || []).push(['track', 'Signed Up'])`. */
export type Call = [method: keyof Anole, ...args: unknown[]];

/** Promises never reject: a page need not care for what it measures. */
export interface Anole {
  /** The version of the collector. */
  readonly version: string;
  /** A page is seen. One text is its name, two are its category and its name. */
  page(category: string | null | undefined, name: string, properties?: Facts | null, options?: EventOptions, callback?: Callback): Promise<Result>;
  page(name: string | null | undefined, properties?: Facts | null, options?: EventOptions, callback?: Callback): Promise<Result>;
  page(properties?: Facts | Callback, options?: EventOptions | Callback, callback?: Callback): Promise<Result>;
  /** Something is done. */
  track(event: string, properties?: Facts | null | Callback, options?: EventOptions | Callback, callback?: Callback): Promise<Result>;
  /** Who the visitor is, from now on and on each page. Another user than before is another visitor. */
  identify(userId: string | number | null | undefined, traits?: Facts | null | Callback, options?: EventOptions | Callback, callback?: Callback): Promise<Result>;
  identify(traits: Facts, options?: EventOptions | Callback, callback?: Callback): Promise<Result>;
  /** Which group the visitor belongs to, from now on and on each page. */
  group(groupId: string | number, traits?: Facts | null | Callback, options?: EventOptions | Callback, callback?: Callback): Promise<Result>;
  /** One person has two ids; `from` is the anonymous id when not given. */
  alias(to: string | number, from?: string | number | null, options?: EventOptions | Callback, callback?: Callback): Promise<Result>;
  /** What the visitor agreed to, from now on and on each page; added to what was said before. `null` forgets it. */
  consent(given: Consent | null): void;
  /** Forgets user and group and makes another visitor: for signing out. What was said of consent stays. */
  reset(): void;
  /** Names the visitor by an id of your own. */
  setAnonymousId(id: string): void;
  /** Who the visitor is. */
  user(): { id(): string | undefined; anonymousId(): string };
  /** Calls back at once: for code that is queued before the script is there. */
  ready(callback: () => void): void;
  /** Sends now what waits, unless the server asked for silence. */
  flush(): Promise<void>;
  /** Makes a call that stands in a list. */
  push(call: Call): void;
}

/** How a collector behaves. In a script's tag these are attributes: `data-write-key`, `data-host`, `data-page="off"`. */
export interface Options {
  /** The write key of the pipeline. */
  writeKey: string;
  /** Where to send: `https://data.example.com`. When not given, where the script or module was loaded from; in a bundle it must be given. */
  host?: string;
  /** Whether pages are seen by themselves. On when not given. */
  page?: boolean | 'on' | 'off';
  /** Whether the history API makes pages. On when not given. */
  navigation?: boolean | 'on' | 'off';
  /** Whether what follows `#` is part of the address: for sites whose pages are there. Off when not given. */
  hash?: boolean | 'on' | 'off';
  /** `wait`: nothing is sent and nothing stored before `consent` was called. */
  consent?: 'wait';
}

/** A collector of its own, for pages that load the module. Call it in the browser only. */
export function createAnole(options: Options): Anole;

declare global {
  interface Window {
    /** The collector, once its script is there; before that, the calls that wait for it. */
    anole: Anole | Call[];
  }
}
