import { expect, test } from '@jest/globals';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import { Harness, node, type RunOutcome, withControllers } from './harness.ts';

/** Shows stderr when a command that has to work does not. */
function good(outcome: RunOutcome): RunOutcome {
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  return outcome;
}

function twoClusters(): Harness {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  east.seed(RESOURCES.nodes, node('east-1'));
  west.seed(RESOURCES.nodes, node('west-1'));
  return new Harness({ east, west });
}

const EAST = ['--context', 'east', '--clustercidr', '10.130.0.0/16', '--servicecidr', '100.66.0.0/16'];

test('deploy-broker and join work, and running them again changes nothing', async () => {
  const harness = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const file = harness.file('broker-info.subm');
  const joined = good(await harness.run('join', 'broker-info.subm', ...EAST));
  expect(joined.stdout).toContain('DaemonSet submariner-operator/submariner-gateway created');

  good(await harness.run('deploy-broker', '--context', 'east'));
  expect(harness.file('broker-info.subm')).toBe(file);
  const again = good(await harness.run('join', 'broker-info.subm', ...EAST));
  expect(again.stdout).not.toMatch(/created|configured/);
});
