import { beforeEach, describe, expect, test } from '@jest/globals';
import { readDaemonState } from '../../src/commands/daemonstate.ts';
import type { ExecResult } from '../../src/kube/client.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import { engineState, routeAgentState } from './daemonstates.ts';

const NAMESPACE = 'submariner-operator';

function pod(app: string, node: string, phase = 'Running'): Pod {
  return {
    metadata: { name: `${app}-${node}`, namespace: NAMESPACE, labels: { app } },
    spec: { nodeName: node, containers: [{ name: app }] },
    status: { phase },
  };
}

describe('readDaemonState', () => {
  let client: FakeKube;
  let asked: string[];
  let answer: ExecResult;

  beforeEach(() => {
    client = new FakeKube();
    asked = [];
    answer = { exitCode: 0, stdout: JSON.stringify(engineState('n1')), stderr: '' };
    client.onExec = (namespace, name, command) => {
      asked.push([namespace, name, ...command].join(' '));
      return answer;
    };
    client.seed(RESOURCES.pods, pod('submariner-gateway', 'n1'));
    client.seed(RESOURCES.pods, pod('submariner-gateway', 'n2'));
    client.seed(RESOURCES.pods, pod('submariner-routeagent', 'n1'));
    client.seed(RESOURCES.pods, pod('submariner-routeagent', 'n3', 'Pending'));
  });

  test('asks the pod of that daemon on that node', async () => {
    expect(await readDaemonState({ client }, { node: 'n1', daemon: 'engine' })).toEqual(engineState('n1'));
    answer = { ...answer, stdout: JSON.stringify(routeAgentState('n1')) };
    const state = await readDaemonState({ client }, { node: 'n1', daemon: 'routeagent' });
    expect(state.inputs.role).toBe('worker');
    expect(asked).toEqual([
      'submariner-operator submariner-gateway-n1 engine --debug-state',
      'submariner-operator submariner-routeagent-n1 routeagent --debug-state',
    ]);
  });

  test.each<[string, string, 'engine' | 'routeagent', Partial<ExecResult>, RegExp]>([
    ['a node without the daemon', 'n9', 'engine', {}, /^no pod of submariner-gateway runs on node n9$/],
    ['a pod that does not run', 'n3', 'routeagent', {}, /is running on node n3: submariner-routeagent-n3 is Pending/],
    [
      'a daemon without endpoints',
      'n1',
      'engine',
      { exitCode: 1, stderr: 'Error: nobody answers\nHint: x\n' },
      /pod submariner-gateway-n1 on node n1 does not tell its state: Error: nobody answers$/,
    ],
    ['silence', 'n1', 'engine', { exitCode: 126 }, /engine --debug-state ended with 126/],
    ['noise', 'n1', 'engine', { stdout: 'hello' }, /is not JSON/],
    [
      'the answer of another daemon',
      'n1',
      'engine',
      { stdout: JSON.stringify(routeAgentState('n1')) },
      /is not the state of the engine/,
    ],
  ])('refuses %s', async (_, node, daemon, more, message) => {
    answer = { ...answer, ...more };
    await expect(readDaemonState({ client }, { node, daemon })).rejects.toMatchObject({
      name: 'ExpectedError',
      message: expect.stringMatching(message),
    });
  });
});
