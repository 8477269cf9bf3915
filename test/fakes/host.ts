import { cidrContains, parseCidr } from '../../src/net/cidr.ts';
import { CommandError, type CommandRunner, type RunOptions, type RunResult } from '../../src/host/command.ts';
import { FakeNft, NftError } from './host-nft.ts';

interface FakeLink {
  index: number;
  kind: string;
  mac: string;
  mtu: number;
  up: boolean;
  readonly data: Readonly<Record<string, unknown>>;
  readonly addresses: string[];
  readonly fdb: { mac: string; dst: string }[];
  readonly sysctls: Map<string, string>;
}

interface FakeRoute {
  readonly table: number;
  readonly destination: string;
  readonly type: string;
  readonly metric: number;
  readonly protocol: string;
  readonly scope: string;
  readonly dev?: string;
  readonly via?: string;
  readonly src?: string;
  readonly mtu?: number;
  readonly onlink: boolean;
}

interface FakeRule {
  readonly priority: number;
  readonly table: number;
  readonly from: string;
  readonly to: string;
  readonly iif: string | undefined;
  readonly protocol: string;
}

/** What a tool prints on standard error before it leaves with `exitCode`. */
class ToolError extends Error {
  readonly exitCode: number;
  readonly stdout: string;
  constructor(message: string, exitCode = 2, stdout = '') {
    super(message);
    this.exitCode = exitCode;
    this.stdout = stdout;
  }
}

const SCOPES: Readonly<Record<string, string>> = { global: '0', link: '253', host: '254' };
const TYPES: Readonly<Record<string, string>> = { unicast: '1', blackhole: '6', unreachable: '7' };
const LINK_SYSCTLS = {
  rp_filter: '1',
  forwarding: '0',
  accept_local: '0',
  src_valid_mark: '0',
  retrans_time_ms: '1000',
};

/** `key value key value …` as a map; words without a value stand in `flags`. */
function options(words: readonly string[], flags: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index]!;
    if (flags.includes(word)) found.set(word, 'true');
    else {
      found.set(word, words[index + 1] ?? '');
      index += 1;
    }
  }
  return found;
}

/** The network of a node in memory, behind the programs ip, bridge, nft and sysctl, with their messages and exit codes. */
export class FakeHost implements CommandRunner {
  readonly nft = new FakeNft();
  readonly commands: string[] = [];
  /** Operations so far: a command, or a line of a batch. */
  operations = 0;
  readonly #links = new Map<string, FakeLink>();
  #routes: FakeRoute[] = [];
  #rules: FakeRule[] = [];
  readonly #sysctls = new Map([['net.ipv4.ip_forward', '0']]);
  #failing: ReadonlySet<number> = new Set();
  #onlyWrites = false;
  #lastIndex = 0;

  constructor() {
    this.addLink('lo', ['127.0.0.1/8']);
    for (const name of ['all', 'default']) this.#sysctls.set(`net.ipv4.conf.${name}.rp_filter`, '0');
  }

  /** A link that was there before, made by somebody else. */
  addLink(name: string, addresses: readonly string[], kind = '', mtu = 1500): void {
    this.#lastIndex += 1;
    this.#links.set(name, {
      index: this.#lastIndex,
      kind,
      mac: `0a:00:00:00:00:${this.#lastIndex.toString(16).padStart(2, '0')}`,
      mtu,
      up: true,
      data: {},
      addresses: [...addresses],
      fdb: [],
      sysctls: new Map(Object.entries(LINK_SYSCTLS)),
    });
  }

  /** The operations with these numbers from now on (1 = the next) fail; nothing of them happens. */
  failAt(...numbers: readonly number[]): void {
    this.#failing = new Set(numbers.map((number) => this.operations + number));
  }

  /** Counts and fails only commands that change something. */
  countWritesOnly(): void {
    this.#onlyWrites = true;
  }

  /** A shell line, for setting a stage: `host.do('ip route add …')`. */
  do(line: string): void {
    const [file = '', ...args] = line.split(' ');
    this.#execute(file, args, '');
  }

  sysctl(key: string): string | undefined {
    return this.#sysctlSlot(key)?.get();
  }

  /** The whole node as text, without the objects whose line matches `except`. */
  snapshot(except = /^$/): readonly string[] {
    const links = [...this.#links].flatMap(([name, link]) => [
      `link ${name} ${link.kind} mtu ${link.mtu} ${link.up ? 'up' : 'down'}`,
      ...(link.kind === 'vxlan' ? [`mac ${link.mac} of ${name}`] : []),
      ...link.addresses.map((address) => `address ${address} dev ${name}`),
      ...link.fdb.map(({ mac, dst }) => `fdb ${mac} dst ${dst} dev ${name}`),
    ]);
    const routes = this.#routes.map(
      (route) =>
        `route ${route.type} ${route.destination} table ${route.table} proto ${route.protocol} metric ${route.metric} ` +
        `dev ${route.dev ?? '-'} via ${route.via ?? '-'} src ${route.src ?? '-'}`,
    );
    const rules = this.#rules.map(
      (rule) =>
        `rule ${rule.priority} from ${rule.from} to ${rule.to}${rule.iif === undefined ? '' : ` iif ${rule.iif}`} lookup ${rule.table}`,
    );
    const tables = this.nft.tableNames().flatMap((name) =>
      this.nft
        .list(name)
        .split('\n')
        .map((line) => `nft ${name} ${line}`),
    );
    return [...links, ...routes, ...rules, ...tables].filter((line) => !except.test(line)).toSorted();
  }

  async run(file: string, args: readonly string[], runOptions: RunOptions = {}): Promise<RunResult> {
    await Promise.resolve();
    if (runOptions.signal?.aborted === true)
      throw new CommandError(file, args, { stdout: '', stderr: '' }, 'cancelled');
    const batch = args.includes('-batch');
    this.commands.push([file, ...args].join(' '));
    const result = batch ? this.#batch(file, runOptions.stdin ?? '') : this.#one(file, args, runOptions.stdin ?? '');
    if ((runOptions.okExitCodes ?? [0]).includes(result.exitCode)) return result;
    throw new CommandError(file, args, result);
  }

  #batch(file: string, stdin: string): RunResult {
    const lines = stdin.split('\n').filter((line) => line !== '');
    let stdout = '';
    let stderr = '';
    lines.forEach((line, index) => {
      this.commands.push(`${file} ${line}`);
      const result = this.#one(file, line.split(' '), '');
      stdout += result.stdout === '' || result.exitCode !== 0 ? result.stdout : `${result.stdout}\n`;
      if (result.exitCode !== 0) stderr += `${result.stderr}Command failed -:${index + 1}\n`;
    });
    return { exitCode: stderr === '' ? 0 : 1, stdout, stderr };
  }

  #one(file: string, args: readonly string[], stdin: string): RunResult {
    const reads = /\b(show|list)\b/.test(args.join(' ')) || (file === 'sysctl' && !args.includes('-w'));
    if (!this.#onlyWrites || !reads) this.operations += 1;
    try {
      if (this.#failing.has(this.operations) && (!this.#onlyWrites || !reads)) {
        this.#failing = new Set([...this.#failing].filter((number) => number !== this.operations));
        throw new ToolError('RTNETLINK answers: Operation not permitted');
      }
      return { exitCode: 0, stdout: this.#execute(file, args, stdin), stderr: '' };
    } catch (error) {
      if (error instanceof NftError) return { exitCode: 1, stdout: '', stderr: error.message };
      if (!(error instanceof ToolError)) throw error;
      return { exitCode: error.exitCode, stdout: error.stdout, stderr: `${error.message}\n` };
    }
  }

  #execute(file: string, args: readonly string[], stdin: string): string {
    const words = args.filter((word) => !/^-(?:j|d|N|4|s|y|q|w|force)$/.test(word));
    if (file === 'nft') return this.#nftCommand(words, stdin);
    if (file === 'sysctl') return this.#sysctlCommand(words);
    const [object = '', verb = '', ...rest] = words;
    if (file === 'bridge') return this.#fdbCommand(verb, rest);
    if (object === 'addr') return this.#addrCommand(verb, rest);
    if (object === 'link') return this.#linkCommand(verb, rest);
    if (object === 'route') return this.#routeCommand(verb, rest);
    if (object === 'rule') return this.#ruleCommand(verb, rest);
    if (object === 'netconf') return this.#netconf();
    throw new ToolError(`Object "${object}" is unknown, try "ip help".`, 1);
  }

  #nftCommand(words: readonly string[], stdin: string): string {
    if (words[0] === 'list') return this.nft.list(words.at(-1)!);
    this.nft.run(stdin);
    return '';
  }

  #netconf(): string {
    const filters = ['off', 'strict', 'loose'];
    const entry = (name: string, forwarding: string | undefined, filter: string | undefined): unknown => ({
      family: 'inet',
      interface: name,
      forwarding: forwarding === '1',
      rp_filter: filters[Number(filter)],
    });
    const own = [...this.#links].map(([name, { sysctls }]) =>
      entry(name, sysctls.get('forwarding'), sysctls.get('rp_filter')),
    );
    const all = this.#sysctls.get('net.ipv4.conf.all.rp_filter');
    return JSON.stringify([...own, entry('all', this.#sysctls.get('net.ipv4.ip_forward'), all)]);
  }

  #sysctlSlot(key: string): { get(): string; set(value: string): void } | undefined {
    const match = /^net\.ipv4\.(?:conf|neigh)\.(.+)\.([a-z_]+)$/.exec(key);
    const link = this.#links.get(match?.[1]?.replaceAll('/', '.') ?? '');
    const store = link === undefined ? this.#sysctls : link.sysctls;
    const name = link === undefined ? key : match![2]!;
    if (!store.has(name)) return undefined;
    return { get: () => store.get(name)!, set: (value) => void store.set(name, value) };
  }

  #sysctlCommand(words: readonly string[]): string {
    const lines: string[] = [];
    const missing: string[] = [];
    for (const word of words) {
      const [key = '', value] = word.split('=');
      const slot = this.#sysctlSlot(key);
      if (slot === undefined) {
        missing.push(`sysctl: cannot stat /proc/sys/${key.replaceAll('.', '/')}: No such file or directory`);
        continue;
      }
      if (value !== undefined) slot.set(value);
      lines.push(`${key} = ${slot.get()}`);
    }
    const stdout = lines.map((line) => `${line}\n`).join('');
    if (missing.length > 0) throw new ToolError(missing.join('\n'), missing.length, stdout);
    return stdout;
  }

  #link(name: string): FakeLink {
    const link = this.#links.get(name);
    if (link === undefined) throw new ToolError(`Cannot find device "${name}"`, 1);
    return link;
  }

  #fdbCommand(verb: string, rest: readonly string[]): string {
    if (verb === 'show')
      return JSON.stringify(
        this.#link(rest[1]!).fdb.map((entry) => ({ ...entry, flags: ['self'], state: 'permanent' })),
      );
    const [mac = '', ...more] = rest;
    const given = options(more, []);
    const { fdb } = this.#link(given.get('dev')!);
    const entry = { mac, dst: given.get('dst')! };
    const index = fdb.findIndex((item) => item.mac === mac && item.dst === entry.dst);
    if (verb === 'append') {
      if (index >= 0) throw new ToolError('RTNETLINK answers: File exists');
      fdb.push(entry);
    } else if (index < 0) throw new ToolError('RTNETLINK answers: No such file or directory');
    else fdb.splice(index, 1);
    return '';
  }

  #addrCommand(verb: string, rest: readonly string[]): string {
    if (verb === 'show') {
      const name = rest[0] === 'dev' ? rest[1] : undefined;
      if (name !== undefined && !this.#links.has(name)) throw new ToolError(`Device "${name}" does not exist.`, 1);
      const shown = [...this.#links].filter(([key]) => name === undefined || key === name);
      return JSON.stringify(shown.map(([key, link]) => this.#linkJson(key, link)));
    }
    const [address = '', , name = ''] = rest;
    const link = this.#link(name);
    const index = link.addresses.indexOf(address);
    if (verb === 'add' || verb === 'replace') {
      if (index >= 0 && verb === 'add') throw new ToolError('RTNETLINK answers: File exists');
      if (index < 0) link.addresses.push(address);
      return '';
    }
    if (index < 0) throw new ToolError('Error: ipv4: Address not found.');
    const subnet = (text: string): string => `${parseCidr(text)?.base}/${parseCidr(text)?.prefixLength}`;
    const secondary = link.addresses.findIndex((item) => subnet(item) === subnet(address)) === index;
    const gone = secondary ? link.addresses.filter((item) => subnet(item) === subnet(address)) : [address];
    for (const item of gone) link.addresses.splice(link.addresses.indexOf(item), 1);
    const sources = gone.map((item) => item.split('/')[0]);
    this.#routes = this.#routes.filter(
      (route) => !sources.includes(route.src) && !(route.dev === name && link.addresses.length === 0),
    );
    return '';
  }

  #linkJson(name: string, link: FakeLink): unknown {
    return {
      ifindex: link.index,
      ifname: name,
      flags: ['BROADCAST', 'MULTICAST', ...(link.up ? ['UP', 'LOWER_UP'] : [])],
      mtu: link.mtu,
      address: link.mac,
      ...(link.kind === '' ? {} : { linkinfo: { info_kind: link.kind, info_data: link.data } }),
      addr_info: link.addresses.map((address) => ({
        family: 'inet',
        local: address.split('/')[0],
        prefixlen: Number(address.split('/')[1]),
        scope: 'global',
      })),
    };
  }

  #linkCommand(verb: string, rest: readonly string[]): string {
    if (verb === 'del') {
      const name = rest.at(-1)!;
      this.#link(name);
      this.#links.delete(name);
      this.#routes = this.#routes.filter((route) => route.dev !== name);
      return '';
    }
    if (verb === 'set') {
      const [, name = '', ...more] = rest;
      const link = this.#link(name);
      const given = options(more, ['up', 'down']);
      if (given.has('mtu')) link.mtu = Number(given.get('mtu'));
      link.mac = given.get('address') ?? link.mac;
      if (given.has('up')) link.up = true;
      if (given.has('down')) {
        link.up = false;
        this.#routes = this.#routes.filter((route) => route.dev !== name);
      }
      return '';
    }
    const [name = '', ...more] = rest;
    const given = options(more, ['nolearning', 'learning']);
    const kind = given.get('type')!;
    if (this.#links.has(name)) throw new ToolError('RTNETLINK answers: File exists');
    if (kind === 'wireguard') throw new ToolError('Error: Unknown device type.');
    const vxlan = {
      id: Number(given.get('id')),
      local: given.get('local'),
      link: given.get('dev'),
      port: Number(given.get('dstport')),
      learning: given.has('learning'),
    };
    if (kind === 'vxlan') {
      if (given.has('dev')) this.#link(given.get('dev')!);
      const clash = [...this.#links.values()].some(
        (link) => link.data['id'] === vxlan.id && link.data['port'] === vxlan.port,
      );
      if (clash) throw new ToolError('RTNETLINK answers: File exists');
    }
    this.addLink(name, [], kind, Number(given.get('mtu') ?? 1500));
    const made = this.#link(name);
    const mac = given.get('address') ?? made.mac;
    const xfrm = { if_id: `0x${Number(given.get('if_id')).toString(16)}` };
    const data = kind === 'vxlan' ? vxlan : kind === 'xfrm' ? xfrm : {};
    this.#links.set(name, { ...made, mac, up: false, data });
    return '';
  }

  #routeCommand(verb: string, rest: readonly string[]): string {
    if (verb === 'show') return this.#showRoutes(rest);
    const type = Object.hasOwn(TYPES, rest[0]!) ? rest[0]! : 'unicast';
    const [destination = '', ...more] = Object.hasOwn(TYPES, rest[0]!) ? rest.slice(1) : rest;
    const given = options(more, ['onlink']);
    const table = Number(given.get('table') ?? 254);
    const metric = Number(given.get('metric') ?? 0);
    const same = (route: FakeRoute): boolean =>
      route.table === table && route.destination === destination && route.metric === metric;
    const existing = this.#routes.find(same);
    if (verb === 'del') {
      const matches = (route: FakeRoute): boolean =>
        same(route) &&
        (!given.has('proto') || route.protocol === given.get('proto')) &&
        (!given.has('via') || route.via === given.get('via')) &&
        (!given.has('dev') || route.dev === given.get('dev')) &&
        (type === 'unicast' || route.type === type);
      const index = this.#routes.findIndex(matches);
      if (index < 0) throw new ToolError('RTNETLINK answers: No such process');
      this.#routes.splice(index, 1);
      return '';
    }
    const route: FakeRoute = {
      table,
      destination,
      type,
      metric,
      protocol: given.get('proto') ?? '3',
      scope: given.get('scope') ?? (type === 'unicast' && !given.has('via') ? 'link' : 'global'),
      ...(given.has('dev') ? { dev: given.get('dev')! } : {}),
      ...(given.has('via') ? { via: given.get('via')! } : {}),
      ...(given.has('src') ? { src: given.get('src')! } : {}),
      ...(given.has('mtu') ? { mtu: Number(given.get('mtu')) } : {}),
      onlink: given.has('onlink'),
    };
    this.#checkRoute(route);
    if (existing !== undefined && verb === 'add') throw new ToolError('RTNETLINK answers: File exists');
    if (existing === undefined) this.#routes.push(route);
    else this.#routes.splice(this.#routes.indexOf(existing), 1, route);
    return '';
  }

  #checkRoute(route: FakeRoute): void {
    const all = [...this.#links.values()].flatMap((link) => link.addresses);
    if (route.dev !== undefined) {
      const link = this.#link(route.dev);
      if (!link.up) throw new ToolError('Error: Device for nexthop is not up.');
      const reachable =
        route.onlink || route.via === undefined || link.addresses.some((address) => cidrContains(address, route.via!));
      if (!reachable) throw new ToolError('Error: Nexthop has invalid gateway.');
    }
    if (route.src !== undefined && !all.some((address) => address.split('/')[0] === route.src)) {
      throw new ToolError('Error: Invalid prefsrc address.');
    }
  }

  #showRoutes(rest: readonly string[]): string {
    const bare = rest[0] === 'default';
    const given = options(bare ? rest.slice(1) : rest, []);
    if (given.get('table') === 'all') return JSON.stringify(this.#routes.map((route) => this.#routeOfTable(route)));
    const table = Number(given.get('table') ?? 254);
    const inTable = this.#routes.filter((route) => route.table === table);
    if (inTable.length === 0 && table !== 254) {
      throw new ToolError('Error: ipv4: FIB table does not exist.\nDump terminated', 2, '[');
    }
    const shown = inTable
      .filter((route) => !given.has('proto') || route.protocol === given.get('proto'))
      .filter((route) => !bare || route.destination === 'default');
    return JSON.stringify(shown.map((route) => this.#routeJson(route, given.has('proto'))));
  }

  /** As a listing of all tables has it: the main one is not named. */
  #routeOfTable(route: FakeRoute): unknown {
    const table = route.table === 254 ? {} : { table: String(route.table) };
    return { ...(this.#routeJson(route, false) as object), ...table };
  }

  #routeJson(route: FakeRoute, filtered: boolean): unknown {
    return {
      ...(route.type === 'unicast' ? {} : { type: TYPES[route.type] }),
      dst: route.destination.replace(/\/32$/, ''),
      ...(route.via === undefined ? {} : { gateway: route.via }),
      ...(route.dev === undefined ? {} : { dev: route.dev }),
      ...(filtered ? {} : { protocol: route.protocol }),
      ...(route.scope === 'global' ? {} : { scope: SCOPES[route.scope] }),
      ...(route.src === undefined ? {} : { prefsrc: route.src }),
      ...(route.metric === 0 ? {} : { metric: route.metric }),
      flags: route.onlink ? ['onlink'] : [],
      ...(route.mtu === undefined ? {} : { metrics: [{ mtu: route.mtu }] }),
    };
  }

  #ruleCommand(verb: string, rest: readonly string[]): string {
    if (verb === 'show') return this.#showRules();
    const given = options(rest, []);
    const rule: FakeRule = {
      priority: Number(given.get('pref')),
      table: Number(given.get('lookup')),
      from: given.get('from') ?? 'all',
      to: given.get('to') ?? 'all',
      iif: given.get('iif'),
      protocol: given.get('protocol') ?? '0',
    };
    const text = (item: FakeRule): string => Object.values(item).join(' ');
    /** As the kernel does: the first that has all that is named. */
    const named = (item: FakeRule): boolean =>
      (['priority', 'table', 'from', 'to', 'iif'] as const).every(
        (key) => rule[key] === undefined || rule[key] === 'all' || rule[key] === item[key],
      );
    const index = this.#rules.findIndex(verb === 'add' ? (item) => text(item) === text(rule) : named);
    if (verb === 'add') {
      if (index >= 0) throw new ToolError('RTNETLINK answers: File exists');
      this.#rules.push(rule);
    } else if (index < 0) throw new ToolError('RTNETLINK answers: No such file or directory');
    else this.#rules.splice(index, 1);
    return '';
  }

  #showRules(): string {
    const side = (key: 'src' | 'dst', text: string): Readonly<Record<string, unknown>> => {
      if (text === 'all') return key === 'src' ? { src: 'all' } : {};
      const [address, length] = text.split('/');
      return { [key]: address, ...(length === undefined || length === '32' ? {} : { [`${key}len`]: Number(length) }) };
    };
    const base = [
      { priority: 0, src: 'all', table: '255' },
      { priority: 32766, src: 'all', table: '254' },
    ];
    const own = this.#rules.map((rule) => ({
      priority: rule.priority,
      ...side('src', rule.from),
      ...side('dst', rule.to),
      ...(rule.iif === undefined ? {} : { iif: rule.iif }),
      table: String(rule.table),
    }));
    return JSON.stringify([...base, ...own]);
  }
}
