// "Benchmark": a few shapes on the GPU, and on the CPU backend beside it.
import { append, byId, fill, inWorker, tell } from './dom.js';

const figures = number => (number === undefined ? '–' : number.toPrecision(3).replace(/\.?0+$/, match => (match.startsWith('.') ? '' : match)));

function cells({ shape, ms }) {
    const [frames, items] = shape;
    // A million ns are a ms.
    const perFrame = time => (time === undefined ? undefined : (time * 1e6) / (frames * items));
    return [shape.join(', '), figures(ms.gpu), figures(perFrame(ms.gpu)), figures(ms.cpu), figures(perFrame(ms.cpu))];
}

export function startBenchmark(adapter) {
    let running;
    const buttons = isRunning => {
        byId('bench').disabled = isRunning;
        byId('bench-cancel').disabled = !isRunning;
    };

    async function run() {
        buttons(true);
        fill('bench-table', []);
        byId('bench-progress').value = 0;
        tell('bench-status', 'Running…');
        running = inWorker({ task: 'benchmark', gpu: adapter !== null }, message => {
            append('bench-table', cells(message));
            byId('bench-progress').value = message.done / message.total;
            tell('bench-status', `${message.done} of ${message.total}`);
        });
        try {
            await running.result;
            tell('bench-status', 'Done.');
        } catch (error) {
            tell('bench-status', `Stopped: ${error.message}`);
        }
        buttons(false);
    }

    buttons(false);
    byId('bench').onclick = run;
    byId('bench-cancel').onclick = () => running.stop();
}
