import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Role, RoleBinding } from '../../src/kube/objects.ts';
import type { Authorization } from '../../src/sandbox/authorizations.ts';
import { eventually, REAL, TestSandbox } from './subctl.ts';

/** One right of a service account: one verb on one kind in one namespace. */
interface Right {
  readonly account: string;
  readonly namespace: string;
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  /** '' for every object of the kind. */
  readonly name: string;
}

/**
 * Rights that no request shows, by what they begin with, and why they are there all the same. One that does show is to be
 * taken off this list.
 */
const UNSEEN: Readonly<Record<string, string>> = {
  'submariner-operator:submariner-gateway create gateways.submariner.io':
    'a server-side apply of an object that is not there yet needs it beside patch',
  'submariner-operator:submariner-routeagent create routeagents.submariner.io':
    'a server-side apply of an object that is not there yet needs it beside patch',
  'submariner-k8s-broker:cluster-ID create serviceaccounts/token':
    'credentials are renewed after half of their life, which is hours: test/engine/credential.test.ts',
  'submariner-operator:submariner-gateway update secrets submariner-broker-secret': 'the same renewal',
  ...Object.fromEntries(
    ['update', 'delete'].flatMap((verb) =>
      [2, 3].map((number) => [
        `submariner-k8s-broker:cluster-ID ${verb} endpoints.submariner.io ID-gateway-${number} `,
        'the names of Endpoints are numbered, and so many are there only when several gateways publish at once',
      ]),
    ),
  ),
};

/**
 * Requests that are refused, by verb and kind, and why they are made all the same: a member that leaves tries to take along
 * what belongs to its account, which the role of older brokers allows; here the garbage collector removes it.
 */
const REFUSED_WHEN_LEAVING: readonly string[] = [
  'list secrets',
  'delete rolebindings.rbac.authorization.k8s.io',
  'delete roles.rbac.authorization.k8s.io',
];

/** The holder of broker-info.subm may be upstream's subctl, which is not run here. */
const ADMINISTRATOR = 'submariner-k8s-broker-admin';

const sandbox = new TestSandbox();
const CLUSTERS = ['east', 'west'] as const;
const granted = new Map<string, Right>();

function textOf({ account, verb, resource, group, namespace, name }: Right): string {
  const kind = group === '' ? resource : `${resource}.${group}`;
  const of = name === '' ? '' : ` ${name}`;
  return `${account} ${verb} ${kind}${of}${namespace === '' ? '' : ` in ${namespace}`}`;
}

function rightsOf(binding: RoleBinding, roles: readonly Role[]): readonly Right[] {
  const { roleRef, subjects = [], metadata } = binding;
  const namespace = metadata.namespace ?? '';
  const role = roles.find(
    ({ kind, metadata: { name, namespace: at } }) =>
      kind === roleRef.kind && name === roleRef.name && (kind === 'ClusterRole' || at === namespace),
  );
  const accounts = subjects.filter(({ kind }) => kind === 'ServiceAccount');
  return accounts.flatMap((subject) =>
    (role?.rules ?? []).flatMap((rule) =>
      (rule.apiGroups ?? []).flatMap((group) =>
        (rule.resources ?? []).flatMap((resource) =>
          rule.verbs.flatMap((verb) =>
            (rule.resourceNames ?? ['']).map((name) => ({
              account: `${subject.namespace ?? namespace}:${subject.name}`,
              namespace,
              group,
              resource,
              verb,
              name,
            })),
          ),
        ),
      ),
    ),
  );
}

/** Every member has the same rights to what bears its name: the name is put aside. */
function ofAnyMember<T extends { readonly account: string; readonly name: string }>(right: T): T {
  const [, clusterId] = /:cluster-(.+)$/.exec(right.account) ?? [];
  if (clusterId === undefined) return right;
  const named = (text: string): string => text.replaceAll(clusterId, 'ID');
  return { ...right, account: named(right.account), name: named(right.name) };
}

/** Adds what service accounts of ours may do now to what they might before. */
function noteRights(): void {
  for (const cluster of CLUSTERS) {
    const kinds = 'roles,clusterroles,rolebindings,clusterrolebindings';
    const shown = sandbox.kubectl('--context', cluster, 'get', kinds, '--all-namespaces', '-o', 'json');
    const { items } = JSON.parse(shown) as { readonly items: readonly KubeObject[] };
    const bindings = items.filter(({ kind, metadata }) => {
      const ours = `${metadata.namespace} ${metadata.name}`;
      return kind?.endsWith('Binding') === true && ours.includes('submariner');
    });
    for (const binding of bindings)
      for (const right of rightsOf(binding as RoleBinding, items).map(ofAnyMember)) granted.set(textOf(right), right);
  }
}

function authorizations(): readonly Authorization[] {
  return CLUSTERS.flatMap((cluster) => {
    const file = path.join(sandbox.root, 'state', sandbox.name, 'clusters', cluster, 'authorizations.jsonl');
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Authorization);
  });
}

function uses(right: Right, seen: Authorization): boolean {
  const resource = seen.subresource === '' ? seen.plural : `${seen.plural}/${seen.subresource}`;
  return (
    seen.allowed &&
    [seen.account, seen.group, resource, seen.verb].join() ===
      [right.account, right.group, right.resource, right.verb].join() &&
    (right.namespace === '' || right.namespace === seen.namespace) &&
    (right.name === '' || right.name === seen.name)
  );
}

const subctl = (...args: readonly string[]): Promise<string> => sandbox.ok(...args, ...sandbox.kubeconfig);
const connected = (): Promise<string> => subctl('show', 'connections', '--wait', '--timeout', '2m');

/** Node to state of every gateway of a cluster. */
function gateways(cluster: string): Readonly<Record<string, string>> {
  const shown = sandbox.kubectl(
    '--context',
    cluster,
    '-n',
    'submariner-operator',
    'get',
    'gateways.submariner.io',
    '-o',
    'json',
  );
  const { items } = JSON.parse(shown) as { readonly items: readonly (KubeObject & { status: { haStatus: string } })[] };
  return Object.fromEntries(items.map(({ metadata, status }) => [metadata.name ?? '', status.haStatus]));
}

async function join(cluster: string, nodes: readonly string[], ...settings: readonly string[]): Promise<void> {
  const flags = ['--context', cluster, '--clusterid', cluster, '--gateway-nodes', nodes.join(','), ...settings];
  await subctl('join', 'broker-info.subm', ...flags, '--cable-driver', 'vxlan', '--yes');
  noteRights();
}

const logged = !REAL;

beforeAll(async () => {
  if (!logged) return;
  await sandbox.joined(2);
  noteRights();
}, 300_000);
afterAll(() => sandbox.dispose(), 120_000);

/** Real API servers log in a way of their own. */
(logged ? test : test.skip)(
  'every right of our service accounts is used, and none is missing',
  async () => {
    // The address of a gateway is that of a Service.
    const operator = ['--context', 'west', '-n', 'submariner-operator'];
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'lb' }, spec: { ports: [{ port: 4500 }] } };
    const file = path.join(sandbox.root, 'service.json');
    writeFileSync(file, JSON.stringify(service));
    sandbox.kubectl(...operator, 'create', '-f', file);
    for (const node of ['west-1', 'west-2'])
      sandbox.kubectl('--context', 'west', 'annotate', 'node', node, 'gateway.submariner.io/public-ip=lb:lb');
    await subctl('gateway', 'move', '--context', 'east', '--to', 'east-2');
    await connected();
    // A gateway that stops names its successor.
    const active = Object.entries(gateways('west')).find(([, state]) => state === 'active')?.[0];
    const ofNode = ['-l', 'app=submariner-gateway', '--field-selector', `spec.nodeName=${active}`];
    sandbox.kubectl(...operator, 'delete', 'pods', ...ofNode);
    await connected();
    // A cluster changes what it publishes of itself.
    await join('east', ['east-1', 'east-2'], '--clustercidr', '10.130.0.0/16,10.230.0.0/16');
    await connected();
    for (const command of [
      ['show', 'all'],
      ['diagnose', 'all'],
      ['gather', '--dir', 'archive'],
      // Without broker-info.subm it asks the broker as a member.
      ['diff', '--context', 'west'],
      ['explain', 'east:pod/default/client', 'west:service/default/echo'],
    ])
      await sandbox.run(...command, ...sandbox.kubeconfig);

    // A node that was a gateway becomes an ordinary one; a node goes.
    await join('east', ['east-2']);
    await eventually(
      () => gateways('east'),
      (states) => states['east-1'] === undefined,
      60_000,
    );
    await connected();

    // A gateway dies, another node takes over and tidies up.
    await sandbox.sandbox('fault', 'west', 'west-1', '--kill');
    await eventually(
      () => gateways('west'),
      (states) => states['west-2'] === 'active',
      60_000,
    );
    await sandbox.sandbox('fault', 'west', 'west-1', '--heal');
    await connected();

    await subctl('uninstall', '--context', 'west', '--yes');
    // The Service went with its namespace.
    for (const node of ['west-1', 'west-2'])
      sandbox.kubectl('--context', 'west', 'annotate', 'node', node, 'gateway.submariner.io/public-ip-');
    await join('west', ['west-1']);
    await connected();
    noteRights();
    await subctl('uninstall', '--context', 'west', '--yes');
    await subctl('uninstall', '--context', 'east', '--yes');

    const log = authorizations();
    const seen = log.map(ofAnyMember);
    const refused = log.filter(({ allowed }) => !allowed);
    const leaving = refused.filter(({ account }) => account === 'submariner-k8s-broker:cluster-west');
    expect(refused.filter((one) => !leaving.includes(one))).toEqual([]);
    const asked = leaving.map(({ verb, plural, group }) => `${verb} ${plural}${group === '' ? '' : `.${group}`}`);
    expect([...new Set(asked)].toSorted()).toEqual(REFUSED_WHEN_LEAVING.toSorted());
    const unused = [...granted]
      .filter(([text]) => !text.includes(ADMINISTRATOR))
      .filter(([, right]) => !seen.some((one) => uses(right, one)))
      .map(([text]) => text);
    const listed = Object.keys(UNSEEN);
    expect(unused.filter((text) => !listed.some((one) => text.startsWith(one)))).toEqual([]);
    expect(listed.filter((one) => !unused.some((text) => text.startsWith(one)))).toEqual([]);
    expect(granted.size).toBeGreaterThan(30);
  },
  600_000,
);
