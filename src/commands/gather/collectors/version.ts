import type { Collector } from '../collector.ts';

/** Version of the API server and the API groups it serves. */
export const versionCollector: Collector = {
  name: 'version',
  type: 'resources',
  collect: async (collecting) => {
    const { client, signal } = collecting;
    const ask = async (path: string): Promise<unknown> => client.request('GET', path, undefined, signal);
    const [version, groups] = await Promise.all([ask('/version'), ask('/apis')]);
    await collecting.writeJson('server.json', 'version of the API server and its API groups', { version, groups });
  },
};
