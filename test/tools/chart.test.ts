import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Secret } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { VALUES } from '../../src/commands/join/values.ts';
import { type Schema, schemaCauses } from '../../src/sandbox/apiserver/schema.ts';
import { chartFiles, translate } from '../../tools/chart/files.ts';
import { FakeKube } from '../fakes/kube.ts';
import { Harness, node, withControllers } from '../commands/harness.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** As the harness' subctl calls itself: chart and program are of one release. */
const RELEASE = { name: 'subctl', version: '9.8.7', description: 'about it' };
const files = chartFiles(ROOT, RELEASE);
const textOf = (name: string): string => files.find((file) => file.path === name)!.text;
const defaults = parse(textOf('values.yaml')) as Readonly<Record<string, unknown>>;

/** Debian's command line for Go's own text/template (package tmpl), which is what Helm renders with; HELM=FILE: Helm itself. */
const HELM = process.env['HELM'];
const RENDERER = HELM ?? 'tmpl';
const missing = spawnSync(RENDERER, ['-help']).error === undefined ? undefined : `no program ${RENDERER}: bin/setup`;
const withRenderer = missing === undefined ? test : test.skip;

const directory = mkdtempSync(path.join(tmpdir(), 'subctl-chart-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What `helm template --include-crds` prints for values: CRDs as they are, templates filled with the defaults overlaid by them. */
function helmTemplate(values: Readonly<Record<string, unknown>>): readonly KubeObject[] {
  return HELM === undefined ? rendered(values) : objectsOf(templated(HELM, values));
}

function templated(helm: string, values: Readonly<Record<string, unknown>>): string {
  const chart = path.join(directory, 'templated');
  for (const { path: file, text } of files) {
    mkdirSync(path.dirname(path.join(chart, file)), { recursive: true });
    writeFileSync(path.join(chart, file), text);
  }
  const given = path.join(directory, 'values.json');
  writeFileSync(given, JSON.stringify(values));
  return execFileSync(helm, ['template', 'r', chart, '--include-crds', '-f', given], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** The same by Go's templates alone. */
function rendered(values: Readonly<Record<string, unknown>>): readonly KubeObject[] {
  const { name, version } = RELEASE;
  const data = {
    Values: { ...defaults, ...values },
    Chart: { Name: name, AppVersion: version },
    Release: { Name: 'r' },
  };
  const templates = files.filter(({ path: file }) => /^templates\/.*\.yaml$/.test(file));
  const sources = templates.map(({ path: file, text }) => {
    const source = path.join(directory, `${path.basename(file)}.tmpl`);
    writeFileSync(source, text);
    return source;
  });
  execFileSync(RENDERER, ['-data', JSON.stringify(data), ...sources], { stdio: ['ignore', 'ignore', 'pipe'] });
  const manifests = sources.map((source) => readFileSync(source.replace(/\.tmpl$/, ''), 'utf8'));
  const definitions = files.filter(({ path: file }) => file.startsWith('crds/')).map(({ text }) => text);
  return [...definitions, ...manifests].flatMap(objectsOf);
}

function objectsOf(text: string): readonly KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    expect(document.errors).toEqual([]);
    return (document.toJS() as KubeObject | null) ?? [];
  });
}

const byName = (objects: readonly KubeObject[]): Readonly<Record<string, KubeObject>> =>
  Object.fromEntries(objects.map((one) => [`${one.kind} ${one.metadata.namespace ?? ''}/${one.metadata.name}`, one]));

/** Each dry run issues a credential of its own. */
function masked(objects: Readonly<Record<string, KubeObject>>): Readonly<Record<string, object>> {
  const entries = Object.entries(objects).map(([name, object]) => {
    const { data } = object as Secret;
    return [name, data?.['token'] === undefined ? object : { ...object, data: { ...data, token: 'a token' } }] as const;
  });
  return Object.fromEntries(entries);
}

async function west(): Promise<(...args: readonly string[]) => Promise<string>> {
  const clusters = { east: new FakeKube([], 'https://east:6443'), west: new FakeKube([], 'https://west:6443') };
  for (const [name, kube] of Object.entries(clusters))
    withControllers(kube, `uid-${name}`).seed(RESOURCES.nodes, node(`${name}-1`));
  const harness = new Harness(clusters);
  const good = async (...args: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await harness.run(...args);
    expect(exitCode === 0 ? '' : stderr).toBe('');
    return stdout;
  };
  await good('deploy-broker', '--context', 'east');
  const networks = ['--clustercidr', '10.131.0.0/16', '--servicecidr', '100.67.0.0/16,100.69.0.0/16'];
  return async (...args) => good('join', 'broker-info.subm', '--context', 'west', ...networks, '--dry-run', ...args);
}

const SETS: Readonly<Record<string, readonly string[]>> = {
  'nothing but what is required': [],
  'every tunnel setting': [
    ['--cable-driver', 'wireguard', '--nattport', '4501', '--natt=false', '--public-ip', '198.51.100.7'],
    [
      '--cable-driver-change',
      'now',
      '--interface',
      'eth1',
      '--preferred-server',
      '--force-udp-encaps',
      '--air-gapped',
      '--ipsec-debug',
    ],
    ['--health-check=false', '--health-check-interval', '3', '--health-check-max-packet-loss-count', '9'],
  ].flat(),
  'another broker address, proxies and lease times': [
    ['--broker-url', 'https://east:6443', '--check-broker-certificate=false', '--http-proxy', 'http://p:3128'],
    ['--https-proxy', 'http://p:3129/?a="b"&c={{d}}', '--no-proxy', "10.0.0.0/8,.svc,it's # ü: %s \\ ${x}"],
    ['--gateway-lease-duration', '15', '--gateway-renew-deadline', '10', '--gateway-retry-period', '2'],
    ['--gateway-probe-interval', '250'],
  ].flat(),
  'images of a registry': ['--repository', 'registry.example:5000/net', '--version', '1.20', '--pod-debug'],
  'images given one by one': [
    ['--image-override', 'submariner-gateway=a.example/gw@sha256:00', '--version', 'devel'],
    ['--image-override', 'submariner-nettest=b.example/nettest:1'],
  ].flat(),
  'images without a registry': ['--repository', 'local', '--version', 'local'],
  'what is recorded only': [
    ['--globalnet=false', '--globalnet-cidr', '242.0.0.0/16', '--globalnet-cluster-size', '1048576'],
    ['--custom-domains', 'a.example,b.example', '--coredns-custom-configmap', 'kube-system/coredns-custom'],
    ['--enable-clusterset-ip', '--clusterset-ip-cidr', '243.0.0.0/16', '--load-balancer'],
  ].flat(),
};

describe('the Helm chart', () => {
  if (missing !== undefined) console.warn(`chart not rendered: ${missing}`);

  withRenderer.each(Object.entries(SETS))(
    'renders what join applies: %s',
    async (_, flags) => {
      const join = await west();
      for (const secrets of [[], ['--include', 'secrets']]) {
        const values = parse(await join(...flags, ...secrets, '--helm-values')) as Readonly<Record<string, unknown>>;
        const applied = byName(objectsOf(await join(...flags, ...secrets)));
        expect(Object.keys(applied).filter((name) => name.startsWith('Secret'))).toHaveLength(secrets.length);
        const rendered = byName(helmTemplate(values));
        expect(masked(rendered)).toEqual(masked(applied));
        // An API server keeps no empty value: at every further apply it is a difference, for another manager a conflict.
        expect(JSON.stringify(applied)).not.toContain('"value":""');
        const credential = rendered['Secret submariner-operator/submariner-broker-secret'] as
          Partial<Secret> | undefined;
        expect(credential?.data?.['token']).toBe(values['brokerToken']);
        expect(problemsOf(values)).toEqual([]);
      }
    },
    30_000,
  );

  test('refuses values that are missing, unknown or of another type', () => {
    expect(problemsOf({})).toHaveLength(4);
    const required = { clusterId: 'a', clusterCidr: 'b', serviceCidr: 'c', brokerServer: 'd' };
    expect(problemsOf(required)).toEqual([]);
    expect(problemsOf({ ...required, nattPort: '4500' })).toHaveLength(1);
    expect(problemsOf({ ...required, cableDriver: 'pptp' })).toHaveLength(1);
    expect(problemsOf({ ...required, nodes: [] })).toEqual(['nodes']);
    if (HELM === undefined) return;
    expect(templated(HELM, required)).toContain('kind: DaemonSet');
    for (const wrong of [
      {},
      { ...required, nattPort: '4500' },
      { ...required, cableDriver: 'pptp' },
      { ...required, nodes: [] },
    ]) {
      expect(() => templated(HELM, wrong)).toThrow("values don't meet the specifications of the schema");
    }
  });

  test('uses every value, and only text and choices that Helm and Go know', () => {
    const templates = files
      .filter(({ path: file }) => file.startsWith('templates/'))
      .map(({ text }) => text)
      .join('');
    for (const name of Object.keys(VALUES)) expect(templates).toContain(`.Values.${name}`);
    expect(parse(textOf('Chart.yaml'))).toMatchObject({
      apiVersion: 'v2',
      name: 'subctl',
      version: '9.8.7',
      appVersion: '9.8.7',
    });
    expect(Object.keys(defaults)).toEqual(Object.keys(VALUES));
    for (const name of Object.keys(VALUES)) expect(textOf('README.md')).toContain(`| \`${name}\` |`);
  });

  test('is refused while it is made when a manifest uses a variable in a way that cannot be translated', () => {
    expect(() => translate('a: ${nothing}\n')).toThrow('no value is called nothing');
    expect(() => translate('a: x-${clusterId}\n')).toThrow('a variable must be a whole value: a: x-${clusterId}');
    expect(() => translate('a: { b: ${clusterId?} }\n')).toThrow('only the value of a line can be optional');
    expect(() => translate('a: {{ x }}\n')).toThrow('cannot be translated');
  });

  test('is written to a folder, and again', () => {
    const target = path.join(directory, 'chart');
    mkdirSync(path.join(target, 'templates'), { recursive: true });
    writeFileSync(path.join(target, 'templates', 'stale.yaml'), 'gone');
    execFileSync(process.execPath, ['--no-warnings', path.join(ROOT, 'tools/chart/main.ts'), target]);
    const written = readdirSync(target, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(written.map((entry) => path.relative(target, path.join(entry.parentPath, entry.name))).sort()).toEqual(
      files.map((file) => file.path).sort(),
    );
  });
});

/** What values.schema.json has against values; Helm checks it against them overlaid on the defaults. */
function problemsOf(values: Readonly<Record<string, unknown>>): readonly unknown[] {
  const { additionalProperties, ...schema } = JSON.parse(textOf('values.schema.json')) as Schema;
  expect(additionalProperties).toBe(false);
  const unknown = Object.keys(values).filter((name) => schema.properties?.[name] === undefined);
  return [...unknown, ...schemaCauses(schema, { ...defaults, ...values }, { field: '', label: '' })];
}
