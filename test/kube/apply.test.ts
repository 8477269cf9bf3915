import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyObjects } from '../../src/kube/apply.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { renderTemplate, renderTemplates } from '../../src/kube/templates.ts';
import { renderYaml } from '../../src/kube/yaml.ts';
import { FakeClock, settle } from '../fakes/clock.ts';
import { FakeKube, type FakeCall } from '../fakes/kube.ts';
import { KubeApiError } from '../../src/kube/errors.ts';

const crd: KubeObject & { spec: unknown } = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'things.example.com' },
  spec: {
    group: 'example.com',
    names: { plural: 'things', kind: 'Thing' },
    scope: 'Namespaced',
    versions: [{ name: 'v1', served: true, storage: true }],
  },
};
const daemonSet = (image: string): KubeObject & { spec: unknown } => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'd', namespace: 'ns' },
  spec: { image, extra: { a: '1' } },
});
const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns' } };
const thing: KubeObject = { apiVersion: 'example.com/v1', kind: 'Thing', metadata: { name: 't', namespace: 'ns' } };
const account: KubeObject = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 's', namespace: 'ns' } };

/** A server that establishes CRDs as soon as it is told to. */
function serverWithCrds(): { kube: FakeKube; establish: () => void } {
  const kube = new FakeKube();
  return {
    kube,
    establish: () => {
      for (const one of kube.all(RESOURCES.crds)) {
        kube.drop(RESOURCES.crds, one.metadata.name!);
        kube.seed(RESOURCES.crds, {
          ...one,
          status: { conditions: [{ type: 'Established', status: 'True' }] },
        } as KubeObject);
      }
    },
  };
}

const outcomes = (results: readonly { object: KubeObject; outcome: string }[]): string[] =>
  results.map(({ object, outcome }) => `${object.kind} ${object.metadata.name} ${outcome}`);

describe('applyObjects', () => {
  test('applies in dependency order, CRDs first served, and says what became of each', async () => {
    const { kube, establish } = serverWithCrds();
    const clock = new FakeClock();
    const done = applyObjects(kube, [daemonSet('1'), thing, account, crd, namespace], {
      fieldManager: 'subctl',
      clock,
    });
    await clock.advance(1000);
    expect(kube.writes.map(({ resource }) => resource)).toEqual(['namespaces', 'customresourcedefinitions']);
    establish();
    await clock.advance(200);
    expect(outcomes(await done)).toEqual([
      'Namespace ns created',
      'CustomResourceDefinition things.example.com created',
      'ServiceAccount s created',
      'Thing t created',
      'DaemonSet d created',
    ]);
  });

  test('again it changes nothing; one change is one change', async () => {
    const kube = new FakeKube();
    const apply = async (image: string): Promise<string[]> =>
      outcomes(await applyObjects(kube, [namespace, account, daemonSet(image)], { fieldManager: 'subctl' }));
    await apply('1');
    const before = kube.all(RESOURCES.daemonSets);
    expect(await apply('1')).toEqual(['Namespace ns unchanged', 'ServiceAccount s unchanged', 'DaemonSet d unchanged']);
    expect(kube.all(RESOURCES.daemonSets)).toEqual(before);
    expect(await apply('2')).toEqual([
      'Namespace ns unchanged',
      'ServiceAccount s unchanged',
      'DaemonSet d configured',
    ]);
  });

  test('a status written meanwhile is no change', async () => {
    const kube = new FakeKube();
    await applyObjects(kube, [daemonSet('1')], { fieldManager: 'subctl' });
    await kube.patch(
      RESOURCES.daemonSets,
      'd',
      { status: { n: 1 } },
      { patchType: 'merge', namespace: 'ns', subresource: 'status' },
    );
    expect(outcomes(await applyObjects(kube, [daemonSet('1')], { fieldManager: 'subctl' }))).toEqual([
      'DaemonSet d unchanged',
    ]);
  });

  test('fields others manage are named with their managers, and left alone unless forced', async () => {
    const kube = new FakeKube();
    await applyObjects(kube, [daemonSet('1')], { fieldManager: 'subctl' });
    await kube.patch(
      RESOURCES.daemonSets,
      'd',
      { spec: { image: '9' } },
      { patchType: 'merge', namespace: 'ns', fieldManager: 'kubectl-edit' },
    );
    await expect(applyObjects(kube, [daemonSet('2')], { fieldManager: 'subctl' })).rejects.toThrow(
      'cannot apply DaemonSet ns/d: others manage .spec.image (managed by kubectl-edit)',
    );
    expect(kube.all(RESOURCES.daemonSets)[0]).toMatchObject({ spec: { image: '9' } });
    await applyObjects(kube, [daemonSet('2')], { fieldManager: 'subctl', force: true });
    expect(kube.all(RESOURCES.daemonSets)[0]).toMatchObject({ spec: { image: '2' } });
  });

  test('what another tool applies just so stays that tool’s alone, so that it can change it', async () => {
    const kube = new FakeKube();
    kube.showManagedFields = true;
    const apply = async (image: string, fieldManager: string, force = false): Promise<string[]> =>
      outcomes(await applyObjects(kube, [daemonSet(image)], { fieldManager, force }));
    await apply('1', 'gitops');
    expect(await apply('1', 'subctl')).toEqual(['DaemonSet d unchanged']);
    expect(await apply('2', 'gitops')).toEqual(['DaemonSet d configured']);
    await expect(apply('3', 'subctl')).rejects.toThrow('others manage .spec.image (managed by gitops)');
    expect(await apply('2', 'subctl', true)).toEqual(['DaemonSet d unchanged']);
    await expect(apply('3', 'gitops')).rejects.toThrow('others manage .spec.image (managed by subctl)');
  });

  test('a dry run changes nothing, also where namespace and CRD do not exist yet', async () => {
    const kube = new FakeKube();
    kube.onCall = (call: FakeCall) =>
      call.verb === 'apply' && call.namespace === 'ns'
        ? new KubeApiError(404, { reason: 'NotFound' }, { server: '', method: '', path: '' })
        : undefined;
    const results = await applyObjects(kube, [thing, crd, namespace, account], {
      fieldManager: 'subctl',
      dryRun: true,
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(['created', 'created', 'created', 'created']);
    expect([kube.all(RESOURCES.namespaces), kube.all(RESOURCES.crds)]).toEqual([[], []]);
    await expect(applyObjects(kube, [account], { fieldManager: 'subctl', dryRun: true })).rejects.toThrow();
  });

  test('who may write but not read still applies', async () => {
    const kube = new FakeKube();
    kube.onCall = (call: FakeCall) =>
      call.verb === 'get'
        ? new KubeApiError(403, { reason: 'Forbidden' }, { server: '', method: '', path: '' })
        : undefined;
    expect(outcomes(await applyObjects(kube, [account], { fieldManager: 'subctl' }))).toEqual([
      'ServiceAccount s configured',
    ]);
  });

  test('a CRD that is refused ends with its reason', async () => {
    const kube = new FakeKube();
    const clock = new FakeClock();
    const done = applyObjects(kube, [crd], { fieldManager: 'subctl', clock });
    const failed = expect(done).rejects.toThrow('NamesAccepted: plural is taken');
    await settle();
    const conditions = [{ type: 'NamesAccepted', status: 'False', message: 'plural is taken' }];
    await kube.patch(
      RESOURCES.crds,
      crd.metadata.name!,
      { status: { conditions } },
      { patchType: 'merge', subresource: 'status' },
    );
    await clock.advance(31_000);
    await failed;
  });

  test('an unknown kind is refused before anything is changed', async () => {
    const kube = new FakeKube();
    await expect(applyObjects(kube, [namespace, thing], { fieldManager: 'subctl' })).rejects.toThrow(
      'unknown kind example.com/v1 Thing',
    );
    expect(kube.writes).toEqual([]);
  });
});

describe('templates', () => {
  const text = [
    'apiVersion: v1',
    'kind: ConfigMap',
    'metadata: { name: "${name}-x", namespace: "${ns}" }',
    'data:',
    '  count: ${count}',
    '  quoted: "${count}"',
    '  text: "n=${count} flag=${flag}"',
    "  flow: { port: ${count}, text: '${count}' }",
    '  dropped: "${nothing}"',
    '  list: ["${nothing}", ${count}, "a"]',
    '  object: "${object}"',
    '  literal: "$${name} and $name"',
    '---',
    '# nothing here',
    '---',
    'apiVersion: v1',
    'kind: Secret',
    'metadata: { name: s }',
    '',
  ].join('\n');
  const values = { name: 'n', ns: 'space', count: 7, flag: false, nothing: undefined, object: { a: [1, '${name}'] } };

  test('variables keep their type alone, become text inside text, and vanish when undefined', () => {
    expect(renderTemplate(text, values)).toEqual([
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'n-x', namespace: 'space' },
        data: {
          count: 7,
          quoted: '7',
          flow: { port: 7, text: '7' },
          text: 'n=7 flag=false',
          list: [7, 'a'],
          object: { a: [1, '${name}'] },
          literal: '${name} and $name',
        },
      },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } },
    ]);
  });

  test('what is optional vanishes also when it is empty as Go templates understand it', () => {
    const optional = 'apiVersion: v1\nkind: A\nmetadata: { name: x }\na: ${a?}\nb: "${b?}"\nc: [1, "${c?}"]\n';
    const base = { apiVersion: 'v1', kind: 'A', metadata: { name: 'x' } };
    for (const empty of ['', false, 0, [], {}, null, undefined])
      expect(renderTemplate(optional, { a: empty, b: empty, c: empty })).toEqual([{ ...base, c: [1] }]);
    expect(renderTemplate(optional, { a: true, b: 5, c: 'd' })).toEqual([{ ...base, a: true, b: '5', c: [1, 'd'] }]);
    expect(() => renderTemplate(optional, { a: 1, b: 2 })).toThrow('unknown variables: c');
  });

  test('every unknown variable, broken YAML and what is no object are errors', () => {
    expect(() => renderTemplate(text, { name: 'n', count: 1 })).toThrow('unknown variables: flag, nothing, ns, object');
    expect(() => renderTemplate('${toString}', {})).toThrow('unknown variables: toString');
    expect(() => renderTemplate('a: [', {})).toThrow(/line 1/);
    expect(() => renderTemplate('a: 1', {})).toThrow('not a Kubernetes object');
  });

  test('a folder is read in the order of names; errors name the file', () => {
    const dir = mkdtempSync(join(tmpdir(), 'templates-'));
    try {
      const file = (name: string, kind: string): void =>
        writeFileSync(join(dir, name), `apiVersion: v1\nkind: ${kind}\nmetadata: { name: x }\n`);
      file('b.yaml', 'B');
      file('a.yml', 'A');
      writeFileSync(join(dir, 'README.md'), 'no');
      expect(renderTemplates(dir, {}).map(({ kind }) => kind)).toEqual(['A', 'B']);
      file('c.yaml', '${nope}');
      expect(() => renderTemplates(dir, {})).toThrow(/c\.yaml: unknown variables: nope/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('printed YAML has no anchors and no folded lines', () => {
    const shared = { long: 'x '.repeat(100).trim() };
    expect(renderYaml({ a: shared, b: shared })).toBe(`a:\n  long: ${shared.long}\nb:\n  long: ${shared.long}\n`);
  });
});
