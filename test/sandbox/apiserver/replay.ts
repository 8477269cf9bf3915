import http from 'node:http';
import https from 'node:https';
import { isDeepStrictEqual } from 'node:util';

type Json = unknown;
type Dict = Record<string, Json>;
type Query = Record<string, string | string[]>;

/** One rule that settles what differs between two runs. */
interface Rule {
  path: string;
  as?: Json;
  drop?: boolean;
  keep?: string[];
  key?: string;
  in?: Json[];
  sortBy?: string;
  replace?: string;
  with?: string;
}

/** A relation that must hold on the raw answer. */
interface Expectation {
  status?: number | number[];
  equal?: [Json, Json];
  notEqual?: [Json, Json];
  rvIncreased?: [Json, Json];
  path?: string;
  exists?: boolean;
  eq?: Json;
  matches?: string;
  length?: number;
  inCIDR?: string;
}

interface Step {
  id: string;
  as?: string;
  method?: string;
  path?: string;
  query?: Query;
  headers?: Record<string, string>;
  body?: Json;
  rawBody?: string;
  until?: Expectation[];
  timeoutMs?: number;
  watch?: boolean;
  collect?: string;
  count?: number;
  closed?: boolean;
  keepOpen?: boolean;
  dropBookmarks?: boolean;
  sleepMs?: number;
  hook?: string;
  capture?: Record<string, string | { path: string; decode?: string }>;
  mask?: string[];
  managedFields?: string;
  normalise?: Rule[];
  compare?: string;
  ignore?: string[];
  expect?: Expectation[];
  response?: Answer;
}

/** A scenario: requests in order, with the normalised answer each of them got. */
export interface Recording {
  scenario: string;
  hooks?: string[];
  vars?: Record<string, string>;
  steps: Step[];
  cleanup?: Step[];
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: Json;
}

/** Where and as whom to replay. */
export interface Target {
  server: string;
  adminToken: string;
  hooks: Record<string, () => void>;
}

/** What came of one step; no problems means it is as recorded. */
export interface Outcome {
  step: string;
  problems: string[];
}

const isDict = (value: Json): value is Dict => typeof value === 'object' && value !== null && !Array.isArray(value);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function fill<T>(value: T, vars: Record<string, string>): T {
  if (typeof value === 'string')
    return value.replace(/\$\{(\w+)\}/g, (_, name: string) => {
      const known = vars[name];
      if (known === undefined) throw new Error(`unknown variable ${name}`);
      return known;
    }) as T;
  if (Array.isArray(value)) return value.map((each: Json) => fill(each, vars)) as T;
  if (!isDict(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [fill(key, vars), fill(each, vars)])) as T;
}

// ---- paths: $.a.b[0]['c/d'][*]

type Key = string | number;
const EACH = '*';

const keysOf = (path: string): Key[] =>
  [...path.slice(1).matchAll(/\.([\w-]+)|\['([^']*)'\]|\[(\d+|\*)\]/g)].map(
    ([, name, quoted, index]) => name ?? quoted ?? (index === EACH ? EACH : Number(index)),
  );

const childrenOf = (value: Json, key: Key): Json[] => {
  if (typeof value !== 'object' || value === null) return [];
  if (key === EACH) return Object.values(value);
  const found = (value as Dict)[key];
  return found === undefined ? [] : [found];
};

const pick = (root: Json, path: string): Json =>
  keysOf(path).reduce<Json[]>((found, key) => found.flatMap((each) => childrenOf(each, key)), [root])[0];

/** Replaces every value at the path by what `change` makes of it; undefined removes it. */
function rewrite(root: Json, path: string, change: (value: Json) => Json): void {
  const keys = keysOf(path);
  const last = keys.pop() ?? '';
  const parents = keys.reduce<Json[]>((found, key) => found.flatMap((each) => childrenOf(each, key)), [root]);
  for (const parent of parents) {
    if (typeof parent !== 'object' || parent === null) continue;
    const holder = parent as Dict;
    for (const key of last === EACH ? Object.keys(holder) : [last]) {
      if (holder[key] === undefined) continue;
      const next = change(holder[key]);
      if (next === undefined) delete holder[key];
      else holder[key] = next;
    }
  }
}

const textOf = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value));

// ---- normalisation

interface Settling {
  run: string;
  masks: [name: string, value: string][];
}

const TIMES = /^(creationTimestamp|deletionTimestamp|lastTransitionTime|lastUpdateTime|expirationTimestamp|time)$/;

const WORDS: readonly (readonly [RegExp, string])[] = [
  [/"pkg\/[\w/.-]+\.go:\d+"/g, '"<source>"'],
  [/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<jwt>'],
  [/^ZXlK[\w+/=]{100,}$/, '<base64-jwt>'],
  [/^LS0tLS1CRUdJTi.*$/s, '<base64-pem>'],
  [/^-----BEGIN .*$/s, '<pem>'],
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uid>'],
  [/(resource version: )\d+ \(\d+\)/g, '$1<rv> (<rv>)'],
  [/(resource version: )[1-9]\d*, current: \d+/g, '$1<rv>, current: <rv>'],
];

function settleText(given: string, key: string, { run, masks }: Settling): string {
  let text = given;
  for (const [name, value] of masks) if (value !== '') text = text.replaceAll(value, `\${${name}}`);
  text = text.replaceAll(run, '${run}');
  if (key === 'resourceVersion') text = text.replace(/^[1-9]\d*$/, '<rv>');
  if (key === 'continue') text = text.replace(/^.+$/s, '<continue>');
  if (TIMES.test(key)) {
    text = text.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '<time>');
    text = text.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, '<microtime>');
  }
  return WORDS.reduce((words, [pattern, by]) => words.replace(pattern, by), text);
}

function settleValue(value: Json, key: string, settling: Settling, withManagers: boolean): Json {
  if (typeof value === 'string') return settleText(value, key, settling);
  if (Array.isArray(value)) return value.map((each) => settleValue(each, key, settling, withManagers));
  if (!isDict(value)) return value;
  const entries = Object.entries(value).filter(
    ([name]) => name !== 'storageVersionHash' && (withManagers || name !== 'managedFields'),
  );
  const result: Dict = Object.fromEntries(
    entries.map(([name, each]) => [settleText(name, '', settling), settleValue(each, name, settling, withManagers)]),
  );
  const { generateName, name } = result;
  if (
    typeof generateName === 'string' &&
    generateName !== '' &&
    typeof name === 'string' &&
    name.startsWith(generateName)
  )
    result.name = `${generateName}<suffix>`;
  if (result.kind === 'Table') settleTable(result);
  return result;
}

function settleTable(table: Dict): void {
  const columns = (table.columnDefinitions ?? []) as Dict[];
  for (const column of columns) delete column.description;
  const isAge = (cell: Json, index: number): boolean =>
    typeof cell === 'string' &&
    (columns[index]?.type === 'date' || columns[index]?.name === 'Age' || /^(\d+[smhdy]){1,2}$/.test(cell));
  for (const row of (table.rows ?? []) as { cells: Json[] }[])
    row.cells = row.cells.map((cell, index) => (isAge(cell, index) ? '<age>' : cell));
}

function applyRule(body: Json, rule: Rule): void {
  const { path, keep, in: wanted, key = '$', sortBy, replace } = rule;
  if ('as' in rule) rewrite(body, path, () => rule.as);
  if (rule.drop === true) rewrite(body, path, () => undefined);
  if (keep !== undefined)
    rewrite(body, path, (value) =>
      Object.fromEntries(Object.entries(value as Dict).filter(([name]) => keep.includes(name))),
    );
  if (wanted !== undefined)
    rewrite(body, path, (value) =>
      Array.isArray(value) ? value.filter((each) => wanted.includes(pick(each, key))) : value,
    );
  if (sortBy !== undefined)
    rewrite(body, path, (value) =>
      Array.isArray(value)
        ? value.toSorted((a, b) => (String(pick(a, sortBy)) < String(pick(b, sortBy)) ? -1 : 1))
        : value,
    );
  if (replace !== undefined)
    rewrite(body, path, (value) =>
      typeof value === 'string' ? value.replace(new RegExp(replace, 'g'), rule.with ?? '') : value,
    );
}

function settle(body: Json, step: Step, settling: Settling): Json {
  const result = settleValue(body, '', settling, step.managedFields === 'keep');
  for (const rule of step.normalise ?? []) applyRule(result, rule);
  return result;
}

// ---- expectations

const toNumber = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

function inCidr(ip: string, cidr: string): boolean {
  const [network = '', bits = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  return Math.floor(toNumber(ip) / size) === Math.floor(toNumber(network) / size);
}

function holds(expected: Expectation, answer: Answer, vars: Record<string, string>): boolean {
  const side = (value: Json): Json =>
    typeof value === 'string' && value.startsWith('$.') ? pick(answer.body, value) : fill(value, vars);
  const { status, equal, notEqual, rvIncreased, path = '$' } = expected;
  if (status !== undefined) return [status].flat().includes(answer.status);
  if (equal !== undefined) return isDeepStrictEqual(side(equal[0]), side(equal[1]));
  if (notEqual !== undefined) return !isDeepStrictEqual(side(notEqual[0]), side(notEqual[1]));
  if (rvIncreased !== undefined) return Number(side(rvIncreased[1])) > Number(side(rvIncreased[0]));
  const value = pick(answer.body, path);
  if (expected.exists !== undefined) return (value !== undefined) === expected.exists;
  if (expected.eq !== undefined) return isDeepStrictEqual(value, fill(expected.eq, vars));
  if (expected.matches !== undefined) return new RegExp(fill(expected.matches, vars)).test(String(value));
  if (expected.length !== undefined) return ((value ?? []) as Json[]).length === expected.length;
  if (expected.inCIDR !== undefined) return inCidr(String(value), expected.inCIDR);
  throw new Error(`unknown expectation ${JSON.stringify(expected)}`);
}

// ---- comparison

function differences(want: Json, got: Json, mode: string, at = '$'): string[] {
  const say = (words: string): string[] => [`${at}: ${words}`];
  if (mode === 'shape' && (typeof want !== 'object' || want === null))
    return typeof want === typeof got ? [] : say(`want a ${typeof want}, got ${JSON.stringify(got)}`);
  if (Array.isArray(want)) {
    if (!Array.isArray(got) || got.length !== want.length)
      return say(`want ${want.length} items, got ${JSON.stringify(got)?.slice(0, 300)}`);
    return want.flatMap((each, index) => differences(each, got[index], mode, `${at}[${index}]`));
  }
  if (!isDict(want))
    return isDeepStrictEqual(want, got) ? [] : say(`want ${JSON.stringify(want)}, got ${JSON.stringify(got)}`);
  if (!isDict(got)) return say(`want an object, got ${JSON.stringify(got)}`);
  const extra = mode === 'exact' ? Object.keys(got).filter((key) => !(key in want)) : [];
  return [
    ...Object.entries(want).flatMap(([key, each]) => differences(each, got[key], mode, `${at}.${key}`)),
    ...extra.map((key) => `${at}.${key}: not wanted`),
  ];
}

function compare(step: Step, got: Answer): string[] {
  const { response: want, compare: mode = 'exact', ignore = [] } = step;
  if (want === undefined) return [];
  const problems = want.status === got.status ? [] : [`status: want ${want.status}, got ${got.status}`];
  if (mode === 'status') return problems;
  const stripped = (body: Json): Json => {
    const copy = structuredClone(body);
    for (const path of ignore) rewrite(copy, path, () => undefined);
    return copy;
  };
  for (const [name, value] of Object.entries(want.headers ?? {}))
    if (got.headers?.[name] !== value) problems.push(`header ${name}: want ${value}, got ${got.headers?.[name]}`);
  if (want.body === undefined) return problems;
  return [...problems, ...differences(stripped(want.body), stripped(got.body), mode)];
}

// ---- HTTP

const KEPT = ['content-type', 'warning', 'allow', 'www-authenticate', 'retry-after'];

function keptHeaders(headers: http.IncomingHttpHeaders): Record<string, string> {
  const found = KEPT.filter((name) => headers[name] !== undefined).map((name): [string, string] => [
    name,
    String(headers[name]),
  ]);
  const sorted = (value: string): string =>
    value
      .split(/, (?=299 )/)
      .sort()
      .join(', ');
  return Object.fromEntries(found.map(([name, value]) => [name, name === 'warning' ? sorted(value) : value]));
}

interface Opened {
  request: http.ClientRequest;
  response: http.IncomingMessage;
}

function open(given: Step, vars: Record<string, string>, { server, adminToken }: Target): Promise<Opened> {
  const { method = 'GET' } = given;
  const as = fill(given.as ?? 'admin', vars);
  const path = fill(given.path ?? '/', vars);
  const query = fill(given.query ?? {}, vars);
  const own = fill(given.headers ?? {}, vars);
  const url = new URL(server + path);
  for (const [name, value] of Object.entries(query))
    for (const each of [value].flat()) url.searchParams.append(name, each);
  const json = given.body === undefined ? undefined : JSON.stringify(fill(given.body, vars));
  const body = given.rawBody === undefined ? json : fill(given.rawBody, vars);
  const headers: Record<string, string> = { 'user-agent': 'recorder/1.0', accept: 'application/json' };
  if (body !== undefined)
    Object.assign(headers, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) });
  for (const [name, value] of Object.entries(own)) headers[name.toLowerCase()] = value;
  if (as === 'admin') headers.authorization = `Bearer ${adminToken}`;
  if (as.startsWith('token:')) headers.authorization = `Bearer ${as.slice('token:'.length)}`;
  return new Promise((resolve, reject) => {
    const module = url.protocol === 'https:' ? https : http;
    const request = module.request(url, { method, headers, rejectUnauthorized: false, agent: false }, (response) =>
      resolve({ request, response }),
    );
    request.on('error', reject);
    request.end(body);
  });
}

async function read(response: http.IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const isJson = (response.headers['content-type'] ?? '').includes('json');
  const status = response.statusCode ?? 0;
  return { status, headers: keptHeaders(response.headers), body: isJson ? (JSON.parse(text) as Json) : text };
}

/** An open watch that keeps reading while other steps go on. */
class Watch {
  readonly answer: Answer;
  readonly #request: http.ClientRequest;
  #events: Dict[] = [];
  #closed = false;

  constructor({ request, response }: Opened) {
    this.#request = request;
    this.answer = { status: response.statusCode ?? 0, headers: keptHeaders(response.headers) };
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      this.#events.push(...lines.filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as Dict));
    });
    const end = (): void => {
      this.#closed = true;
    };
    response.on('close', end).on('error', end);
    request.on('error', end);
  }

  async collect({ count, closed = false, dropBookmarks = false, timeoutMs = 15_000 }: Step): Promise<Answer> {
    const ready = (): Dict[] => this.#events.filter(({ type }) => !dropBookmarks || type !== 'BOOKMARK');
    const done = (): boolean => (closed ? this.#closed : ready().length >= (count ?? 0));
    for (const end = Date.now() + timeoutMs; !done() && Date.now() < end;) await pause(10);
    const events = count === undefined ? ready() : ready().slice(0, count);
    const last = events.at(-1);
    this.#events = last === undefined ? [] : this.#events.slice(this.#events.indexOf(last) + 1);
    return { status: 200, headers: {}, body: { events, ...(closed ? { closed: this.#closed } : {}) } };
  }

  stop(): void {
    this.#request.destroy();
  }
}

const letters = (count: number): string =>
  Array.from({ length: count }, () => 'bcdfghjkmnpqrtvwxz'[Math.floor(Math.random() * 18)]).join('');

/** Replays one recording; stops early when a later step needs what an earlier one did not yield. */
export async function replay(recording: Recording, target: Target): Promise<Outcome[]> {
  const run = `q${letters(6)}`;
  const vars: Record<string, string> = { run, ...recording.vars };
  const settling: Settling = { run, masks: [] };
  const watches = new Map<string, Watch>();
  const outcomes: Outcome[] = [];

  const send = async (step: Step): Promise<Answer> => {
    const opened = await open(step, vars, target);
    if (step.watch !== true || opened.response.statusCode !== 200) return read(opened.response);
    const watch = new Watch(opened);
    watches.set(step.id, watch);
    return watch.answer;
  };
  const collect = async (step: Step, id: string): Promise<Answer> => {
    const watch = watches.get(id);
    if (watch === undefined) throw new Error(`no watch ${id}`);
    const answer = await watch.collect(step);
    if (step.keepOpen !== true) watch.stop();
    return answer;
  };
  const poll = async (step: Step, until: Expectation[]): Promise<Answer> => {
    for (const end = Date.now() + (step.timeoutMs ?? 30_000); ; await pause(50)) {
      const answer = await send(step);
      if (until.every((each) => holds(each, answer, vars)) || Date.now() > end) return answer;
    }
  };
  const perform = async (step: Step): Promise<Answer | undefined> => {
    if (step.sleepMs !== undefined) await pause(step.sleepMs);
    else if (step.hook !== undefined) target.hooks[step.hook]?.();
    else if (step.collect !== undefined) return collect(step, step.collect);
    else return step.until === undefined ? send(step) : poll(step, step.until);
    return undefined;
  };
  const capture = (step: Step, answer: Answer): string[] =>
    Object.entries(step.capture ?? {}).flatMap(([name, from]) => {
      const { path, decode } = typeof from === 'string' ? { path: from, decode: undefined } : from;
      const value = pick(answer.body, path);
      if (value === undefined) return [`nothing to capture at ${path}`];
      vars[name] = decode === 'base64' ? Buffer.from(textOf(value), 'base64').toString() : textOf(value);
      if (step.mask?.includes(name) === true) settling.masks.unshift([name, vars[name]]);
      return [];
    });

  try {
    for (const step of recording.steps) {
      const answer = await perform(step);
      if (answer === undefined) continue;
      const uncaptured = capture(step, answer);
      const settled: Answer = { ...answer, body: settle(answer.body, step, settling) };
      const headers = Object.entries(answer.headers ?? {}).map(([name, value]) => [
        name,
        settleText(value, '', settling),
      ]);
      const broken = [...(step.expect ?? []), ...(step.until ?? [])].filter((each) => !holds(each, answer, vars));
      const problems = [
        ...uncaptured,
        ...broken.map((each) => `does not hold: ${JSON.stringify(each)}`),
        ...compare(step, { ...settled, headers: Object.fromEntries(headers) as Record<string, string> }),
      ];
      outcomes.push({ step: `${recording.scenario}/${step.id}`, problems });
      if (uncaptured.length > 0) break;
    }
  } finally {
    for (const watch of watches.values()) watch.stop();
    for (const step of recording.cleanup ?? [])
      await open(step, vars, target).then(
        ({ response }) => read(response),
        () => undefined,
      );
  }
  return outcomes;
}
