// Charts of arrays of [frame, row], with one column per frame. All have the same horizontal axis.

/** The width of the row names at the left, in pixels. */
const GUTTER = 22;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name);

/**
 * Clears a canvas and calls `paint(context, x, y)`, where `x(frame)` and `y(row)` are the left and
 * the top edge of a cell. They are whole screen pixels, so adjacent cells have no gap between them.
 */
function draw(canvas, rows, frames, description, paint) {
    const scale = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    canvas.setAttribute('aria-label', description);
    const left = GUTTER * scale;
    const context = canvas.getContext('2d');
    context.fillStyle = colour('--panel');
    context.fillRect(left, 0, canvas.width - left, canvas.height);
    const x = frame => Math.round(left + (frame * (canvas.width - left)) / frames);
    const y = row => Math.round((row * canvas.height) / rows);
    paint(context, x, y);
}

/** Draws a text in the middle of a box. */
function drawLabel(context, text, x, y, height) {
    context.font = `${Math.min(height, 12 * devicePixelRatio)}px ui-monospace, monospace`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText(text, x, y + height / 2);
}

/**
 * Draws a heat map of numbers from 0 to 1, [frame, row]. `colourName` is a CSS variable with the
 * red, green and blue components. `names` are the names of the rows, or empty.
 */
export function heatMap(canvas, values, rows, frames, names, colourName, description) {
    draw(canvas, rows, frames, description, (context, x, y) => {
        const components = colour(colourName);
        values.forEach((value, index) => {
            const frame = Math.floor(index / rows);
            const row = index % rows;
            // The square root makes small probabilities visible.
            context.fillStyle = `rgba(${components}, ${Math.sqrt(value)})`;
            context.fillRect(x(frame), y(row), x(frame + 1) - x(frame), y(row + 1) - y(row));
        });
        context.fillStyle = colour('--soft');
        names.forEach((text, row) => {
            drawLabel(context, text, x(0) / 2, y(row), y(row + 1) - y(row));
        });
    });
}

/** Draws runs of frames, each as a box with its character. */
export function runStrip(canvas, runs, frames, description) {
    draw(canvas, 1, frames, description, (context, x, y) => {
        for (const { text, from, to } of runs) {
            context.fillStyle = `rgba(${colour('--heat')}, 0.35)`;
            // Leaves a gap between adjacent boxes.
            context.fillRect(x(from), y(0), x(to + 1) - x(from) - devicePixelRatio, y(1));
            context.fillStyle = colour('--text');
            drawLabel(context, text, (x(from) + x(to + 1)) / 2, y(0), y(1));
        }
    });
}
