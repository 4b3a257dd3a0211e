// The section "How CTC scores a label": a line of text, the output of the network, and the loss,
// occupancies and alignment of a label.
import { Recogniser, noiseField } from './pkg/ctc_wgpu_web.js';
import { heatMap, runStrip } from './charts.js';
import { byId, setText } from './dom.js';

const bytes = async name => {
    const response = await fetch(new URL(name, import.meta.url));
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
};

/** Returns the runs of frames that an alignment assigns to one character of the label. */
function runsOf(alignment, label) {
    const runs = [];
    alignment.forEach((position, frame) => {
        if (position < 0) return;
        const last = runs.at(-1);
        if (last?.position === position) last.to = frame;
        else runs.push({ position, text: label[position], from: frame, to: frame });
    });
    return runs;
}

const percent = probability => {
    const value = probability * 100;
    if (value === 0) return '0';
    return `${value >= 0.01 ? value.toPrecision(3) : value.toExponential(1)} %`;
};

export async function startDemonstration() {
    const files = await Promise.all(['weights.bin', 'glyphs.bin'].map(bytes));
    const recogniser = new Recogniser(...files);
    const { frames, height, alphabet } = recogniser;
    setText('alphabet', alphabet);
    const names = [...alphabet, '␣'];
    const field = noiseField(frames * height);
    let shown;
    const paint = () => {
        if (!shown) return;
        const { pixels, label, explanation, runs } = shown;
        const { probabilities, occupancies, decoded } = explanation;
        const chart = (id, values, rows, rowNames, colourName, description) =>
            heatMap(byId(id), values, rows, frames, rowNames, colourName, description);
        chart('chart-line', pixels, height, [], '--ink', `Image of the text ${byId('text').value}`);
        chart('chart-output', probabilities, names.length, names, '--heat',
            `Probabilities; decoded text: ${decoded || '(empty)'}`);
        chart('chart-occupancies', occupancies, names.length, names, '--heat',
            `Occupancies of the label ${label || '(empty)'}`);
        runStrip(byId('chart-path'), runs, frames, byId('charts-text').textContent);
    };

    const describe = ({ status }, runs) => {
        if (status === 'impossible') {
            return 'No alignment: the line has too few columns for this label.';
        }
        if (runs.length === 0) return 'The label is empty: every column is a blank.';
        const columns = ({ from, to }) => (from === to ? `${from + 1}` : `${from + 1}–${to + 1}`);
        const list = runs.map(run => `${run.text} ${columns(run)}`).join(', ');
        return `Columns of the alignment: ${list}; all other columns are blank.`;
    };

    let latest = 0;
    async function update() {
        const current = ++latest;
        const input = id => byId(id).value.toUpperCase();
        try {
            const number = id => Number(byId(id).value);
            const [face, spacing, noise] = ['face', 'spacing', 'noise'].map(number);
            const line = recogniser.draw(input('text'), face, spacing);
            const clamp = pixel => Math.min(Math.max(pixel, 0), 1);
            const pixels = line.map((pixel, index) => clamp(pixel + noise * field[index]));
            const label = input('label');
            const explanation = await recogniser.explain(recogniser.logits(pixels), label);
            // The input has changed in the meantime.
            if (current !== latest) return;
            const runs = runsOf(explanation.alignment, label);
            shown = { pixels, label, explanation, runs };
            setText('demo-error', '');
            setText('loss', explanation.loss === Infinity ? '∞' : explanation.loss.toPrecision(4));
            setText('probability', percent(Math.exp(-explanation.loss)));
            setText('decoded', explanation.decoded || '(empty)');
            setText('charts-text', describe(explanation, runs));
            paint();
        } catch (error) {
            if (current === latest) setText('demo-error', error.message);
        }
    }

    byId('demo-form').addEventListener('input', update);
    byId('demo-form').addEventListener('submit', event => event.preventDefault());
    // The label follows the text until the user edits the label.
    byId('text').addEventListener('input', () => {
        if (!byId('label').dataset.edited) byId('label').value = byId('text').value;
    });
    byId('label').addEventListener('input', () => { byId('label').dataset.edited = 'yes'; });
    new ResizeObserver(paint).observe(byId('charts'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
    await update();
}
