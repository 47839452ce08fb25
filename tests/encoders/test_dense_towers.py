"""Dense CLIP and SigLIP against what the definition says, written out on the network's own tensors."""

import math

import pytest
import torch
import torch.nn.functional as F
from checkpoints import MEAN, SIDE, STD, into_hub_cache, write_clip, write_dense, write_siglip

from lerf.encoders.dense_towers import encode_levels, image_scale
from lerf.encoders.patch_attention import ATTENTIONS, DEFAULT
from lerf.encoders.protocols import PyramidEncoder
from lerf.encoders.published import PUBLISHED
from lerf.encoders.registry import ATTENTION_NAMES, load_dense_encoder, load_encoder
from lerf.errors import ConfigError, EncoderError
from lerf.pyramids.plan import PyramidOptions, make_plan, mode_in_use
from lerf.pyramids.store import build_pyramids
from lerf.pyramids.tiles import layout

transformers = pytest.importorskip("transformers")
PATCH, ROWS = 8, SIDE // 8
HEIGHT, WIDTH = 40, 50
COLUMNS = round(ROWS * WIDTH / HEIGHT)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    return write_clip(folder), load_encoder(f"hf:{folder}", offline=True), folder


@pytest.fixture(scope="module", params=[False, True], ids=["fixed", "flexible"])
def siglip(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("siglip")
    network = write_siglip(folder, flexible=request.param)
    return network, load_encoder(f"hf:{folder}", offline=True), folder


@pytest.fixture(scope="module")
def photo():
    return torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))


def prepared(photo, rows, columns):
    image = F.interpolate(photo[None], (rows * PATCH, columns * PATCH), mode="bicubic", antialias=True).clamp(0, 1)
    return (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def window_means(values, rows, columns, ratio):
    """Means over windows of about the tile's size around every step-th patch, cut off at the border."""
    tile = ratio * rows
    reach, step = round((tile - 1) / 2), max(1, int(tile / 2))
    grid = values.reshape(rows, columns, -1)
    return torch.stack([
        torch.stack([
            grid[max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1].mean(dim=(0, 1))
            for j in range(0, columns, step)
        ])
        for i in range(0, rows, step)
    ])  # fmt: skip


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0.0)


def layer_norm(state, name, x):
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * state[f"{name}.weight"]
        + state[f"{name}.bias"]
    )


HEADS, HEAD = 2, 16


def tokens_by_hand(network, picture, rows, columns):
    """The image tower step by step up to its last block: what enters that, and the tensors of the tower."""
    state = {name.removeprefix("vision_model."): value for name, value in network.state_dict().items()}
    weight = state["embeddings.patch_embedding.weight"].flatten(1)
    patches = picture[0].unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).permute(1, 2, 0, 3, 4)
    tokens = patches.reshape(rows * columns, -1) @ weight.T
    places = state["embeddings.position_embedding.weight"]
    grid = places[1:].T.reshape(1, -1, ROWS, ROWS)
    resized = F.interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)[0].flatten(1).T
    x = torch.cat([state["embeddings.class_embedding"][None] + places[:1], tokens + resized])
    x = layer_norm(state, "pre_layrnorm", x)
    for index in range(2):
        q, k, v = parts(state, index, x)
        attended = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(HEAD), dim=-1) @ v
        x = x + projected(state, index, attended)
        x = x + mlp(state, index, x)
    return x, state


def parts(state, index, x):
    """Queries, keys and values of a block, (heads, tokens, size) each."""
    block = f"encoder.layers.{index}."
    y = layer_norm(state, block + "layer_norm1", x)
    return [
        linear(state, f"{block}self_attn.{name}_proj", y).reshape(len(y), HEADS, HEAD).transpose(0, 1) for name in "qkv"
    ]


def projected(state, index, attended):
    joined = attended.transpose(0, 1).reshape(attended.shape[1], -1)
    return linear(state, f"encoder.layers.{index}.self_attn.out_proj", joined)


def mlp(state, index, x):
    block = f"encoder.layers.{index}."
    y = layer_norm(state, block + "layer_norm2", x)
    return linear(state, block + "mlp.fc2", F.gelu(linear(state, block + "mlp.fc1", y)))


def weights_by_hand(attention, q, k, rows, columns):
    """Who attends to whom in the last block, patch by patch in plain Python: (heads, tokens, tokens), before values."""
    count = 1 + rows * columns
    weights = torch.zeros(HEADS, count, count)
    places = [None, *((i, j) for i in range(rows) for j in range(columns))]
    for head in range(HEADS):
        for one in range(count):
            if attention == "maskclip":
                weights[head, one, one] = 1.0
                continue
            scores = {"clearclip": [q], "naclip": [k], "sclip": [q, k]}[attention]
            for x in scores:
                likeness = x[head] @ x[head, one] / math.sqrt(HEAD)
                if attention == "naclip" and one:
                    for other in range(1, count):
                        apart = sum((a - b) ** 2 for a, b in zip(places[one], places[other], strict=True))
                        likeness[other] += math.exp(-apart / (2 * 5.0**2))
                weights[head, one] += likeness.exp() / likeness.exp().sum()
    return weights


@pytest.mark.parametrize("attention", ["naclip", "maskclip", "clearclip", "sclip"])
@pytest.mark.parametrize("ratio", [0.4, 1.0])
def test_clip_is_what_its_attention_gathers_by_hand(clip, photo, attention, ratio):
    network, folder = clip[0], clip[2]
    encoder = load_encoder(f"hf:{folder}+{attention}", offline=True)
    scale = image_scale(ratio)
    rows, columns = scale * ROWS, scale * COLUMNS
    with torch.inference_mode():
        x, state = tokens_by_hand(network, prepared(photo, rows, columns), rows, columns)
        q, k, v = parts(state, 2, x)
        gathered = projected(state, 2, weights_by_hand(attention, q, k, rows, columns) @ v)
        if attention == "sclip":
            gathered = x + gathered
            gathered = gathered + mlp(state, 2, gathered)
        means = window_means(gathered[1:], rows, columns, ratio)
        state = network.state_dict()
        expected = layer_norm(state, "vision_model.post_layernorm", means) @ state["visual_projection.weight"].T
    grid = encoder.encode_photo_at(photo, ratio)
    torch.testing.assert_close(grid.features, F.normalize(expected, dim=-1), atol=1e-4, rtol=0)
    step = max(1, int(ratio * rows / 2))
    assert (grid.x0, grid.dx) == pytest.approx((WIDTH / columns / 2, step * WIDTH / columns))
    assert (grid.y0, grid.dy) == pytest.approx((HEIGHT / rows / 2, step * HEIGHT / rows))


def test_proxyclip_attends_where_dino_sees_the_same(clip, photo, tmp_path, monkeypatch):
    network, folder = clip[0], clip[2]
    write_dense(tmp_path / "dino")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(EncoderError, match="fetch dino"):
        load_encoder(f"hf:{folder}+proxyclip", offline=True)
    into_hub_cache(tmp_path / "dino", tmp_path / "hub", PUBLISHED["dino"].model)
    encoder, guide = load_encoder(f"hf:{folder}+proxyclip", offline=True), load_dense_encoder("dino", offline=True)
    seen = guide.encode_photo(photo).features
    with torch.inference_mode():
        x, state = tokens_by_hand(network, prepared(photo, ROWS, COLUMNS), ROWS, COLUMNS)
        v = parts(state, 2, x)[2]
        laid = F.interpolate(seen.permute(2, 0, 1)[None], (ROWS, COLUMNS), mode="bilinear", antialias=True)[0]
        unit = F.normalize(laid.flatten(1).T, dim=-1)
        cosines = unit @ unit.T
        weights = torch.zeros_like(cosines)
        for one in range(len(unit)):
            scores = [3.0 * float(cosines[one, other] - 1.2 * cosines.mean()) for other in range(len(unit))]
            scores[one] = max(scores[one], 0.0)
            allowed = [math.exp(score) if score >= 0 else 0.0 for score in scores]
            weights[one] = torch.tensor(allowed) / sum(allowed)
        assert 0 < int((weights > 0).sum()) < weights.numel(), "so that the test says something"
        gathered = projected(state, 2, weights @ v[:, 1:])
        means = window_means(gathered, ROWS, COLUMNS, 1.0)
        state = network.state_dict()
        expected = layer_norm(state, "vision_model.post_layernorm", means) @ state["visual_projection.weight"].T
    grid = encoder.encode_photo_at(photo, 1.0)
    torch.testing.assert_close(grid.features, F.normalize(expected, dim=-1), atol=1e-4, rtol=0)


def test_the_attention_is_a_part_of_the_features_and_not_of_the_encoder(clip, photo, tmp_path):
    encoders = [
        load_encoder(f"hf:{clip[2]}{option}", offline=True) for option in ("", "+naclip", "+maskclip", "+sclip")
    ]
    assert len({encoder.fingerprint for encoder in encoders}) == 1
    assert encoders[0].attention == DEFAULT == "naclip"
    pixels = (photo * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()

    def folders(mode):
        options = PyramidOptions(mode, tile_ratios=(0.5,))
        return [build_pyramids([lambda: pixels], encoder, options, root=tmp_path).folder for encoder in encoders]

    dense, tiles = folders("dense"), folders("tiles")
    assert dense[0] == dense[1]
    assert len(set(dense)) == 3
    assert len(set(tiles)) == 1
    # What was made before there was a choice is still found.
    assert "dense" not in make_plan(encoders[2], PyramidOptions("dense")).settings


def test_attentions_are_those_of_the_registry():
    assert ATTENTIONS == ATTENTION_NAMES


def test_whoever_has_no_choice_of_attention_refuses_one(siglip):
    with pytest.raises(EncoderError, match=r"does not take \+naclip"):
        load_encoder(f"hf:{siglip[2]}+naclip", offline=True)
    with pytest.raises(EncoderError, match="cannot be called with"):
        load_encoder("conse+naclip", offline=True)


@pytest.mark.parametrize("ratio", [0.3, 0.5])
def test_siglip_is_its_head_asked_about_one_place(siglip, photo, ratio):
    """With one patch a window, the head's attention has one patch to attend to: so may the head itself be asked."""
    network, encoder, _ = siglip
    scale = image_scale(ratio)
    rows, columns = scale * ROWS, scale * COLUMNS
    with torch.inference_mode():
        tokens = encoder._last_hidden(prepared(photo, rows, columns))
        head = network.vision_model.head
        alone = head(tokens[:, None])
        torch.testing.assert_close(encoder._embed_values(encoder._values_of_head(tokens)), alone, atol=1e-5, rtol=0)
        values = torch.stack([head.attention(token[None, None], token[None, None], token[None, None])[0][0, 0]
                              for token in tokens])  # fmt: skip
        means = window_means(values, rows, columns, ratio)
        expected = means + head.mlp(head.layernorm(means))
    grid = encoder.encode_photo_at(photo, ratio)
    torch.testing.assert_close(grid.features, F.normalize(expected, dim=-1), atol=1e-5, rtol=0)


def test_a_square_photo_at_the_towers_own_size_has_the_librarys_tokens(siglip):
    """At the size of training nothing is interpolated: the tokens are those of an ordinary call."""
    network, encoder, _ = siglip
    photo = torch.rand(3, SIDE, SIDE)
    picture = prepared(photo, ROWS, ROWS)
    with torch.inference_mode():
        embedded = encoder._embed_pictures(picture)
        tokens = encoder._last_hidden(picture)
        torch.testing.assert_close(network.vision_model.head(tokens[None]), embedded, atol=1e-5, rtol=0)


def test_levels_share_passes_and_equal_one_by_one(clip, photo, monkeypatch):
    encoder = clip[1]
    ratios = (0.1, 0.2, 0.3, 0.5, 0.9, 1.0)
    one_by_one = [encoder.encode_photo_at(photo, ratio) for ratio in ratios]
    passes, values = [], encoder._values
    monkeypatch.setattr(encoder, "_values", lambda picture: passes.append(picture.shape) or values(picture))
    together = encoder.encode_photo_levels(photo, ratios)
    assert len(passes) == 3, "0.1 to 0.3, 0.5 and 0.9, and 1.0"
    for one, other in zip(one_by_one, together, strict=True):
        assert torch.equal(one.features, other.features)
        assert (one.x0, one.y0, one.dx, one.dy) == (other.x0, other.y0, other.dx, other.dy)


def test_a_tile_sees_its_own_surroundings():
    """With a tower that passes colours through, each cell is the mean colour of the tile around its place."""
    y, x = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(144) + 0.5, indexing="ij")
    photo = torch.stack([x / 144, y / 96, torch.full_like(x, 0.5)])

    def values(picture):
        return F.avg_pool2d(picture, PATCH)[0].flatten(1).T

    for ratio in (0.25, 0.5):
        grid = encode_levels(photo, [ratio], SIDE, PATCH, lambda image: image, values, lambda v: v)[0]
        rows, columns, _ = grid.features.shape
        for i in range(1, rows - 1):
            for j in range(1, columns - 1):
                place = torch.tensor([(grid.x0 + j * grid.dx) / 144, (grid.y0 + i * grid.dy) / 96, 0.5])
                inside = (place[:2] > ratio / 2).all() and (place[:2] < 1 - ratio / 2).all()
                if inside:
                    torch.testing.assert_close(grid.features[i, j], F.normalize(place, dim=0), atol=0.02, rtol=0)


def test_dense_is_offered_but_tiles_are_the_default(clip, photo, tmp_path):
    encoder = clip[1]
    assert isinstance(encoder, PyramidEncoder)
    assert mode_in_use(encoder, None) == "tiles"
    pixels = (photo * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    store = build_pyramids([lambda: pixels], encoder, PyramidOptions("dense"), root=tmp_path)
    again = encoder.encode_photo_at(torch.from_numpy(pixels).permute(2, 0, 1) / 255.0, 0.35)
    torch.testing.assert_close(store.grid(0, 4).features, again.features, atol=1e-3, rtol=0)
    assert store.folder != build_pyramids([lambda: pixels], encoder, PyramidOptions("tiles"), root=tmp_path).folder


def test_hundreds_of_times_fewer_patches_than_tiles():
    """At the sizes of ViT-B/16 and a photo of 994x738: tokens through the tower, dense against tiles."""
    ratios = (0.05, 0.125, 0.2, 0.275, 0.35, 0.425, 0.5)
    grids = [layout(738, 994, ratio) for ratio in ratios]
    tiles = 196 * sum(grid.rows * grid.columns for grid in grids)
    dense = sum((14 * scale) * round(14 * scale * 994 / 738) for scale in {image_scale(ratio) for ratio in ratios})
    assert 100 < tiles / dense < 1000


@pytest.mark.parametrize("ratio", [0.0, 1.5])
def test_bad_ratio(clip, photo, ratio):
    with pytest.raises(ConfigError):
        clip[1].encode_photo_at(photo, ratio)
