// What takes long runs here, so that the page stays quick, and so that to cancel is to end this worker.
import init, { Benchmark, benchmarkShapes, validate } from './pkg/ctc_wgpu_web.js';

const tasks = {
    validate: ({ full }) => validate(!full, (row, done, total) => postMessage({ row, done, total })),
    benchmark: ({ gpu }) => benchmark(gpu),
};

/** A round lasts at least so long: clocks in browsers tick in steps of up to 0.1 ms. */
const ROUND_MS = 40;
const ROUNDS = 5;

/** The median of some rounds in ms a run, after one that warms up and tells how many runs make a round. */
async function time(bench) {
    const round = async runs => {
        const start = performance.now();
        await bench.run(runs);
        return performance.now() - start;
    };
    let runs = 1;
    let took = await round(runs);
    while (took < ROUND_MS && runs < 4096) {
        runs *= 2;
        took = await round(runs);
    }
    const times = [];
    for (let index = 0; index < ROUNDS; index++) times.push(await round(runs) / runs);
    times.sort((a, b) => a - b);
    return times[ROUNDS >> 1];
}

async function benchmark(gpu) {
    const shapes = benchmarkShapes();
    const subjects = { cpu: await Benchmark.open(false) };
    if (gpu) subjects.gpu = await Benchmark.open(true);
    for (const [index, shape] of shapes.entries()) {
        const ms = {};
        for (const [name, bench] of Object.entries(subjects)) {
            await bench.prepare(shape);
            ms[name] = await time(bench);
        }
        postMessage({ shape: [...shape], ms, done: index + 1, total: shapes.length });
    }
    return true;
}

onmessage = async ({ data }) => {
    try {
        await init();
        postMessage({ result: await tasks[data.task](data) });
    } catch (error) {
        postMessage({ error: error.message ?? String(error) });
    }
};
