import { expect, test } from '@jest/globals';
import { Environment } from '@marcbachmann/cel-js';
import path from 'node:path';
import { brokerEndpointNames, cableName, endpointName } from '../../src/api/names.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { renderTemplates } from '../../src/kube/templates.ts';
import { ROOT } from '../docs/pages.ts';

// No API server with admission policies can be had here: the expressions are evaluated by another implementation of CEL.

interface Policy extends KubeObject {
  readonly spec: {
    readonly matchConditions: readonly { readonly expression: string }[];
    readonly validations: readonly { readonly expression: string; readonly message: string }[];
  };
}

/** What a policy sees of a request. */
interface Seen {
  readonly request: {
    readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
    readonly resource: { readonly resource: string };
    readonly userInfo: { readonly username: string };
  };
  readonly object: KubeObject | null;
  readonly oldObject: KubeObject | null;
}

const NAMESPACE = 'submariner-k8s-broker';
const [policy, binding] = renderTemplates(path.join(ROOT, 'templates/admission'), {
  brokerNamespace: NAMESPACE,
}) as unknown as readonly [Policy, KubeObject & { readonly spec: unknown }];

/** As the API server: an expression that cannot be evaluated counts as false (failurePolicy Fail). */
function holds(expression: string, seen: Seen): boolean {
  const environment = new Environment()
    .registerVariable('request', 'dyn')
    .registerVariable('object', 'dyn')
    .registerVariable('oldObject', 'dyn');
  try {
    return environment.evaluate(expression, { ...seen }) === true;
  } catch {
    return false;
  }
}

/** Messages of the validations that fail; none for a request that the policy is not about. */
function verdict(seen: Seen): readonly string[] {
  const { matchConditions, validations } = policy.spec;
  if (!matchConditions.every(({ expression }) => holds(expression, seen))) return [];
  return validations.filter(({ expression }) => !holds(expression, seen)).map(({ message }) => message);
}

const LABEL = 'submariner-io/clusterID';
const [FOREIGN, THEIRS, UNLABELLED, NAMED] = policy.spec.validations.map(({ message }) => message);

function object(id: string, name: string, label: string | undefined = id): KubeObject {
  const labels = label === '' ? {} : { labels: { [LABEL]: label } };
  return { metadata: { name, namespace: NAMESPACE, ...labels }, spec: { cluster_id: id } } as KubeObject;
}

function asked(
  account: string,
  operation: Seen['request']['operation'],
  changed: { readonly object?: KubeObject; readonly oldObject?: KubeObject; readonly resource?: string },
): Seen {
  const username = account.includes(':') ? account : `system:serviceaccount:${NAMESPACE}:${account}`;
  const request = { operation, resource: { resource: changed.resource ?? 'endpoints' }, userInfo: { username } };
  return { request, object: changed.object ?? null, oldObject: changed.oldObject ?? null };
}

const own = object('east', 'east-gateway-0');
const theirs = object('west', 'west-gateway-0');

test('the binding denies', () => {
  expect(binding.spec).toEqual({ policyName: policy.metadata.name, validationActions: ['Deny'] });
});

test.each([
  ...brokerEndpointNames('east'),
  endpointName('east', cableName('east', '192.0.2.1')),
  endpointName('east', cableName('east', '2001:db8::1')),
])('a member publishes, changes and removes its Endpoint %s', (name) => {
  const one = object('east', name);
  expect(verdict(asked('cluster-east', 'CREATE', { object: one }))).toEqual([]);
  expect(verdict(asked('cluster-east', 'UPDATE', { object: one, oldObject: one }))).toEqual([]);
  expect(verdict(asked('cluster-east', 'DELETE', { oldObject: one }))).toEqual([]);
});

test('a member publishes, changes and removes its Cluster', () => {
  const change = { object: object('east', 'east'), oldObject: object('east', 'east'), resource: 'clusters' };
  for (const operation of ['CREATE', 'UPDATE', 'DELETE'] as const)
    expect(verdict(asked('cluster-east', operation, change))).toEqual([]);
});

test.each<readonly [string, Seen, readonly (string | undefined)[]]>([
  ['publishes as another', asked('cluster-east', 'CREATE', { object: theirs }), [FOREIGN]],
  [
    'publishes as another under a name of its own',
    asked('cluster-east', 'CREATE', { object: object('west', 'east-gateway-0') }),
    [FOREIGN, NAMED],
  ],
  ['takes a name of another', asked('cluster-east', 'CREATE', { object: object('east', 'west-gateway-0') }), [NAMED]],
  [
    'takes a name of one whose ID begins like its own',
    asked('cluster-east', 'CREATE', { object: object('east', 'east-2-gateway-0') }),
    [NAMED],
  ],
  [
    'labels as another',
    asked('cluster-east', 'CREATE', { object: object('east', 'east-gateway-0', 'west') }),
    [UNLABELLED],
  ],
  ['does not label', asked('cluster-east', 'CREATE', { object: object('east', 'east-gateway-0', '') }), [UNLABELLED]],
  [
    'changes what is of another',
    asked('cluster-east', 'UPDATE', { object: theirs, oldObject: theirs }),
    [FOREIGN, THEIRS],
  ],
  [
    'makes what is of another its own',
    asked('cluster-east', 'UPDATE', { object: object('east', 'west-gateway-0'), oldObject: theirs }),
    [THEIRS, NAMED],
  ],
  [
    'gives its own away',
    asked('cluster-east', 'UPDATE', { object: object('west', 'east-gateway-0'), oldObject: own }),
    [FOREIGN, NAMED],
  ],
  ['removes what is of another', asked('cluster-east', 'DELETE', { oldObject: theirs }), [THEIRS]],
  [
    'publishes a Cluster of another name',
    asked('cluster-east', 'CREATE', { object: object('east', 'west'), resource: 'clusters' }),
    [NAMED],
  ],
  [
    'publishes without an ID',
    asked('cluster-east', 'CREATE', { object: { metadata: { name: 'east-gateway-0' }, spec: {} } as KubeObject }),
    [FOREIGN, UNLABELLED, NAMED],
  ],
])('no member %s', (_, seen, messages) => {
  expect(verdict(seen)).toEqual(messages);
});

test('the account of a join file publishes nothing; administrators of the broker and of the cluster do as they like', () => {
  expect(verdict(asked('join-1', 'CREATE', { object: own }))).toContain(FOREIGN);
  expect(verdict(asked('submariner-k8s-broker-admin', 'DELETE', { oldObject: theirs }))).toEqual([]);
  expect(verdict(asked('admin:x', 'DELETE', { oldObject: theirs }))).toEqual([]);
  expect(verdict(asked('system:serviceaccount:elsewhere:cluster-east', 'DELETE', { oldObject: theirs }))).toEqual([]);
});
