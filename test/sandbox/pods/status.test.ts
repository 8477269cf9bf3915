import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { ContainerState, Pod } from '../../../src/kube/objects.ts';
import { covers, phaseOf, podStatus, type ContainerView, type PodView } from '../../../src/sandbox/pods/status.ts';

const running: ContainerState = { running: { startedAt: '2030-01-01T00:00:00Z' } };
const waiting = (reason: string): ContainerState => ({ waiting: { reason } });
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });

function container(state: ContainerState, lastState: ContainerState = {}): ContainerView {
  const ready = state.running !== undefined;
  return { name: 'c', image: 'i', imageId: 'x', restartCount: 0, state, lastState, ready };
}

function view(containers: readonly ContainerView[], change: Partial<PodView> = {}): PodView {
  return {
    podIP: '10.1.0.2',
    hostIP: '172.31.0.11',
    startTime: '2030-01-01T00:00:00Z',
    prepared: true,
    initialized: true,
    initContainers: [],
    containers,
    ...change,
  };
}

describe('the phase of a pod', () => {
  test.each([
    ['Pending', 'Always', [container(waiting('ContainerCreating'))]],
    ['Pending', 'Always', [container(running), container(waiting('ErrImagePull'))]],
    ['Running', 'Always', [container(running)]],
    ['Running', 'Always', [container(waiting('CrashLoopBackOff'), ended(1))]],
    ['Running', 'Always', [container(ended(0))]],
    ['Running', 'OnFailure', [container(ended(1))]],
    ['Succeeded', 'OnFailure', [container(ended(0)), container(ended(0))]],
    ['Failed', 'Never', [container(ended(0)), container(ended(2))]],
    ['Running', 'Never', [container(ended(2)), container(running)]],
  ])('is %s with restartPolicy %s', (phase, policy, containers) => {
    expect(phaseOf(view(containers), policy)).toBe(phase);
  });

  test('is Pending until the init containers are done, and Failed when one may not run again', () => {
    const main = [container(waiting('PodInitializing'))];
    const change = { initialized: false, initContainers: [container(ended(1))] };
    expect(phaseOf(view(main, change), 'Always')).toBe('Pending');
    expect(phaseOf(view(main, change), 'Never')).toBe('Failed');
  });
});

describe('the status of a pod', () => {
  const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [] } };

  test('keeps the time of what has not changed', () => {
    const first = podStatus(pod, view([container(running)]), '2030-01-01T00:00:00Z');
    const second = podStatus({ ...pod, status: first }, view([container(ended(1))]), '2030-01-01T00:05:00Z');
    const times = Object.fromEntries((second.conditions ?? []).map((one) => [one.type, one.lastTransitionTime]));
    expect(times).toMatchObject({
      Ready: '2030-01-01T00:05:00Z',
      ContainersReady: '2030-01-01T00:05:00Z',
      Initialized: '2030-01-01T00:00:00Z',
    });
  });

  test('is not ready before it is initialized, nor when it is over', () => {
    const readiness = (one: PodView, policy = 'Always') =>
      podStatus({ ...pod, spec: { containers: [], restartPolicy: policy } }, one, '').conditions?.find(
        ({ type }) => type === 'Ready',
      );
    expect(readiness(view([container(running)]))?.status).toBe('True');
    expect(readiness(view([container(running)], { initialized: false }))?.status).toBe('False');
    expect(readiness(view([container(ended(0))]), 'Never')).toMatchObject({ status: 'False', reason: 'PodCompleted' });
  });
});

describe('covers', () => {
  test('sees what is there already, whatever else is there', () => {
    expect(covers({ a: 1, b: { c: [1, { d: 2, e: null }] } }, { b: { c: [1, { d: 2 }] } })).toBe(true);
    expect(covers({ b: { c: [1, 2] } }, { b: { c: [1] } })).toBe(false);
    expect(covers(undefined, { a: 1 })).toBe(false);
    expect(covers({}, { lastState: {} })).toBe(true);
  });

  test('everything covers itself, and nothing covers itself with more in it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.jsonValue()), (value) => {
        expect(covers(value, value)).toBe(true);
        expect(covers(value, { ...value, NEW: 1 })).toBe(false);
      }),
    );
  });
});
