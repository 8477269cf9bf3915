import { brokerEndpointNames, cableName, endpointName } from '../../src/api/names.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { renderTemplates } from '../../src/kube/templates.ts';
import { ROOT } from '../docs/pages.ts';
import path from 'node:path';

// What the admission policy of a broker has to decide; for every implementation that can be asked.

export interface Policy extends KubeObject {
  readonly spec: {
    readonly matchConditions: readonly { readonly expression: string }[];
    readonly validations: readonly { readonly expression: string; readonly message: string }[];
  };
}

/** What a policy sees of a request. */
export interface Seen {
  readonly request: {
    readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
    readonly resource: { readonly resource: string };
    readonly userInfo: { readonly username: string };
  };
  readonly object: KubeObject | null;
  readonly oldObject: KubeObject | null;
}

/** A request, and the messages of the validations that it has to fail; none: it is allowed. */
export interface Case {
  readonly title: string;
  readonly seen: Seen;
  readonly messages: readonly (string | undefined)[];
}

export const NAMESPACE = 'submariner-k8s-broker';
export const [policy, binding] = renderTemplates(path.join(ROOT, 'templates/admission'), {
  brokerNamespace: NAMESPACE,
}) as unknown as readonly [Policy, KubeObject & { readonly spec: unknown }];

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

const MEMBER = 'cluster-east';

const REFUSED: readonly (readonly [string, Seen, Case['messages']])[] = [
  ['publishes as another', asked(MEMBER, 'CREATE', { object: theirs }), [FOREIGN]],
  [
    'publishes as another under a name of its own',
    asked(MEMBER, 'CREATE', { object: object('west', 'east-gateway-0') }),
    [FOREIGN, NAMED],
  ],
  ['takes a name of another', asked(MEMBER, 'CREATE', { object: object('east', 'west-gateway-0') }), [NAMED]],
  [
    'takes a name of one whose ID begins like its own',
    asked(MEMBER, 'CREATE', { object: object('east', 'east-2-gateway-0') }),
    [NAMED],
  ],
  ['labels as another', asked(MEMBER, 'CREATE', { object: object('east', 'east-gateway-0', 'west') }), [UNLABELLED]],
  ['does not label', asked(MEMBER, 'CREATE', { object: object('east', 'east-gateway-0', '') }), [UNLABELLED]],
  ['changes what is of another', asked(MEMBER, 'UPDATE', { object: theirs, oldObject: theirs }), [FOREIGN, THEIRS]],
  [
    'makes what is of another its own',
    asked(MEMBER, 'UPDATE', { object: object('east', 'west-gateway-0'), oldObject: theirs }),
    [THEIRS, NAMED],
  ],
  [
    'gives its own away',
    asked(MEMBER, 'UPDATE', { object: object('west', 'east-gateway-0'), oldObject: own }),
    [FOREIGN, NAMED],
  ],
  ['removes what is of another', asked(MEMBER, 'DELETE', { oldObject: theirs }), [THEIRS]],
  [
    'publishes a Cluster of another name',
    asked(MEMBER, 'CREATE', { object: object('east', 'west'), resource: 'clusters' }),
    [NAMED],
  ],
  [
    'publishes without an ID',
    asked(MEMBER, 'CREATE', { object: { metadata: { name: 'east-gateway-0' }, spec: {} } as KubeObject }),
    [FOREIGN, UNLABELLED, NAMED],
  ],
];

const GRANTED: readonly (readonly [string, Seen])[] = [
  ...[
    ...brokerEndpointNames('east'),
    endpointName('east', cableName('east', '192.0.2.1')),
    endpointName('east', cableName('east', '2001:db8::1')),
  ].flatMap((name) => {
    const one = object('east', name);
    return [
      [`a member publishes its Endpoint ${name}`, asked(MEMBER, 'CREATE', { object: one })],
      [`a member changes its Endpoint ${name}`, asked(MEMBER, 'UPDATE', { object: one, oldObject: one })],
      [`a member removes its Endpoint ${name}`, asked(MEMBER, 'DELETE', { oldObject: one })],
    ] as const;
  }),
  ...(['CREATE', 'UPDATE', 'DELETE'] as const).map((operation) => {
    const one = object('east', 'east');
    const changed = {
      ...(operation === 'DELETE' ? {} : { object: one }),
      ...(operation === 'CREATE' ? {} : { oldObject: one }),
      resource: 'clusters',
    };
    return [`a member does ${operation} with its Cluster`, asked(MEMBER, operation, changed)] as const;
  }),
  [
    'the administrator of the broker does as it likes',
    asked('submariner-k8s-broker-admin', 'DELETE', { oldObject: theirs }),
  ],
  ['the administrator of the cluster does as he likes', asked('admin:x', 'DELETE', { oldObject: theirs })],
  [
    'accounts of other namespaces are not meant',
    asked('system:serviceaccount:elsewhere:cluster-east', 'DELETE', { oldObject: theirs }),
  ],
];

export const CASES: readonly Case[] = [
  ...GRANTED.map(([title, seen]) => ({ title, seen, messages: [] })),
  ...REFUSED.map(([what, seen, messages]) => ({ title: `no member ${what}`, seen, messages })),
  {
    title: 'the account of a join file publishes nothing',
    seen: asked('join-1', 'CREATE', { object: own }),
    messages: [FOREIGN],
  },
];
