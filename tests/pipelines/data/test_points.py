"""Meshes and clouds against trimesh, scipy and plain Python."""

import bisect
import hashlib
import io
import math
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import Delaunay

from lab.errors import DataError, SpecError
from pipelines.data import counter
from pipelines.data.points import drawing, off, placement, sampling, transforms
from pipelines.data.points.off import Mesh

TETRAHEDRON = b"OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
SPHERE = trimesh.creation.icosphere(subdivisions=2)
CLOUD = np.random.default_rng(0).normal(loc=(3, -50, 7), scale=(1, 20, 0.1), size=(500, 3)).astype(np.float32)


def written(mesh: trimesh.Trimesh, header: str = "OFF\n", end: str = "\n") -> bytes:
    """A mesh as an OFF file, with the full precision of its coordinates."""
    lines = [f"{header}{len(mesh.vertices)} {len(mesh.faces)} 0"]
    lines += [" ".join(repr(float(value)) for value in vertex) for vertex in mesh.vertices]
    lines += ["3 " + " ".join(map(str, face)) for face in mesh.faces]
    return (end.join(lines) + end).encode()


@pytest.mark.parametrize("header", ["OFF\n", "OFF", "OFF ", "OFF\r\n", "OFF\n\n# made by hand\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_meshes_are_what_trimesh_reads_whatever_the_header_lacks(header: str, end: str) -> None:
    theirs = trimesh.load(io.BytesIO(written(SPHERE)), file_type="off", process=False)
    ours = off.read(written(SPHERE, header, end), "sphere.off")
    assert np.array_equal(ours.vertices, theirs.vertices)
    assert np.array_equal(ours.triangles, theirs.faces)


@pytest.mark.parametrize("header", ["OFF", "OFF ", "OFF\n"])
def test_trimesh_reads_the_same_from_a_header_without_its_line_break(header: str) -> None:
    data = written(trimesh.creation.annulus(1, 2, 3), header)
    theirs = trimesh.load(io.BytesIO(data), file_type="off", process=False)
    ours = off.read(data, "annulus.off")
    assert np.array_equal(ours.vertices, theirs.vertices)
    assert np.array_equal(ours.triangles, theirs.faces)


def test_a_file_that_trimesh_wrote_is_read_back() -> None:
    data = SPHERE.export(file_type="off", digits=17)
    ours = off.read(data if isinstance(data, bytes) else data.encode(), "sphere.off")
    assert np.allclose(ours.vertices, SPHERE.vertices, rtol=0, atol=1e-15)
    assert np.array_equal(ours.triangles, SPHERE.faces)


@given(st.data())
def test_polygons_are_fans_around_their_first_corner_whatever_stands_between(data: Any) -> None:
    vertices = data.draw(st.integers(3, 9))
    corner = st.integers(0, vertices - 1)
    faces = data.draw(st.lists(st.lists(corner, min_size=1, max_size=6), min_size=1, max_size=8))
    noise = st.sampled_from(["", "\n", "  ", "\r\n \t\n", "# 3 0 1 2\n"])
    colour = st.sampled_from(["", " 255 0 0", " 0.5 0.25 1 1"])
    text = f"OFF\n{vertices} {len(faces)} 0\n"
    for index in range(vertices):
        text += data.draw(noise) + f"{index} {index * index} {-index}e-1\n"
    for face in faces:
        text += data.draw(noise) + " ".join(map(str, [len(face), *face])) + data.draw(colour) + "\n"
    mesh = off.read(text.encode(), "polygons.off")
    fans = [[face[0], face[i], face[i + 1]] for face in faces for i in range(1, len(face) - 1)]
    assert mesh.triangles.tolist() == fans
    assert mesh.vertices.tolist() == [[i, i * i, float(f"{-i}e-1")] for i in range(vertices)]


@pytest.mark.parametrize("colour", [b"", b" 10 20 30"])
def test_quadrilaterals_have_the_area_of_their_triangles(colour: bytes) -> None:
    sides = [b"0 1 3 2", b"4 6 7 5", b"0 4 5 1", b"2 3 7 6", b"0 2 6 4", b"1 5 7 3"]
    corners = [f"{x} {y} {z}".encode() for x in (0, 1) for y in (0, 2) for z in (0, 3)]
    data = b"\n".join([b"OFF8 6 12", *corners, *(b"4 " + side + colour for side in sides)])
    mesh = off.read(data, "box.off")
    made = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    assert made.area == pytest.approx(22)
    assert made.volume == pytest.approx(6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"OFF\n", b"PLY\n", "t.off is no OFF file: it begins with 'PLY'"),
        (b"OFF\n", b"COFF\n", "no OFF file: it begins with 'COFF'"),
        (b"4 4 6", b"4 four 6", "t.off, line 2: the numbers of vertices, faces and edges are expected"),
        (b"4 4 6", b"4", "line 2: the numbers of vertices"),
        (b"4 4 6", b"4 0 6", "line 2: a mesh has vertices and faces, this has 4 and 0"),
        (b"OFF\n4 4 6", b"# here\nOFF4 0 6", "line 2: a mesh has vertices and faces"),
        (b"4 4 6", b"4 5 6", "announces 4 vertices and 5 faces and has 8 lines for them: it is cut short"),
        (b"3 1 2 3\n", b"3 1 2", "line 10: a face of 3 corners has 2 indices"),
        (b"0 1 0\n", b"0 1\n", "line 5: a vertex is 3 numbers, this line has 2"),
        (b"0 1 0\n", b"0 1 0 1\n", "line 5: a vertex is 3 numbers, this line has 4"),
        (b"0 1 0\n", b"\n\n0 x 0\n", "line 7: a vertex is 3 numbers, 'x' is none"),
        (b"0 1 0\n", b"0 nan 0\n", "line 5: a vertex is 3 numbers, 'nan' is none"),
        (b"0 1 0\n", b"0 1e999 0\n", "line 5: a vertex is 3 numbers, '1e999' is none"),
        (b"3 0 1 3", b"3 0 1 4", "line 8: vertex 4 is not there, indices go from 0 to 3"),
        (b"3 0 1 3", b"3 0 -1 3", "line 8: vertex -1 is not there"),
        (b"3 0 1 3", b"3 0 1.5 3", "line 8: a face is a count and indices, got '3 0 1.5 3'"),
        (b"3 0 3 2\n", b"# none\n4 0 3 2 9\n", "line 10: vertex 9 is not there"),
    ],
)
def test_a_fault_is_told_with_the_file_and_the_line(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(DataError) as raised:
        off.read(TETRAHEDRON.replace(old, new, 1), "t.off")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_file_and_a_bare_header_are_told_from_meshes() -> None:
    with pytest.raises(DataError, match=r"t\.off is no OFF file"):
        off.read(b"\n", "t.off")
    with pytest.raises(DataError, match=r"t\.off ends behind its first line"):
        off.read(b"OFF\n", "t.off")


def drawn_one_by_one(mesh: Mesh, number: int, state: int) -> np.ndarray:
    """The definition of `sampling.on_surface` in plain Python, one number at a time."""

    def uniform() -> float:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return ((z ^ (z >> 31)) >> 11) / 2**53

    until, total, corners = [], 0.0, []
    for a, b, c in mesh.vertices[mesh.triangles].tolist():
        p, q = [[y - x for x, y in zip(a, far, strict=True)] for far in (b, c)]
        cross = [p[i - 2] * q[i - 1] - p[i - 1] * q[i - 2] for i in range(3)]
        total += math.sqrt(cross[0] * cross[0] + cross[1] * cross[1] + cross[2] * cross[2])
        until.append(total)
        corners.append((a, p, q))
    points = []
    for _ in range(number):
        face, u, v = bisect.bisect_right(until, uniform() * total), uniform(), uniform()
        u, v = (1 - u, 1 - v) if u + v > 1 else (u, v)
        points.append([x + u * p + v * q for x, p, q in zip(*corners[face], strict=True)])
    return np.array(points, np.float32)


def test_points_are_where_plain_python_puts_them() -> None:
    """To the last bit: preparing on another machine must give the same shards."""
    mesh = off.read(written(trimesh.creation.cone(1, 2, sections=7)), "cone.off")
    assert np.array_equal(sampling.on_surface(mesh, 300, 99), drawn_one_by_one(mesh, 300, 99))


def test_the_points_of_a_name_are_the_same_for_ever() -> None:
    """The digest is that of the points which plain Python draws."""
    points = sampling.on_surface(off.read(TETRAHEDRON, "t.off"), 8192, sampling.key_of("airplane_0001"))
    assert (points.shape, points.dtype) == ((8192, 3), np.float32)
    assert hashlib.sha256(points.tobytes()).hexdigest()[:16] == "5c72e909c0400a07"


def test_every_point_lies_on_the_surface() -> None:
    mesh = Mesh("sphere", np.asarray(SPHERE.vertices), np.asarray(SPHERE.faces))
    points = sampling.on_surface(mesh, 400, 5).astype(np.float64)
    triangles = np.tile(SPHERE.triangles, (len(points), 1, 1))
    asked = np.repeat(points, len(SPHERE.triangles), axis=0)
    nearest = trimesh.triangles.closest_point(triangles, asked)
    distances = np.linalg.norm(nearest - asked, axis=1).reshape(len(points), -1).min(axis=1)
    assert distances.max() < 1e-6


def test_points_are_uniform_over_the_area() -> None:
    """How many fall on each triangle, and on each quarter of a triangle, by chi-square."""
    corners = np.random.default_rng(4).uniform(size=(30, 2))
    plane = Delaunay(corners)
    mesh = Mesh("plane", np.pad(corners, ((0, 0), (0, 1))), plane.simplices.astype(np.int64))
    points = sampling.on_surface(mesh, 20_000, 12)[:, :2].astype(np.float64)
    faces = plane.find_simplex(points, tol=1e-6)
    assert faces.min() >= 0
    (a, b, c) = corners[plane.simplices].transpose(1, 2, 0)
    areas = np.abs((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0])
    found = np.bincount(faces, minlength=len(areas))
    assert stats.chisquare(found, areas / areas.sum() * len(points)).pvalue > 0.01
    transform = plane.transform[faces]
    two = np.einsum("nij,nj->ni", transform[:, :2], points - transform[:, 2])
    weights = np.column_stack([two, 1 - two.sum(axis=1)])
    quarter = np.where(weights.max(axis=1) > 0.5, weights.argmax(axis=1), 3)
    assert stats.chisquare(np.bincount(quarter)).pvalue > 0.01


def test_faces_without_area_get_no_points() -> None:
    extra = b"OFF\n5 3 0\n0 0 0\n1 0 0\n0 1 0\n2 2 0\n3 3 0\n3 0 3 4\n3 0 1 2\n3 1 1 1\n"
    points = sampling.on_surface(off.read(extra, "t.off"), 5000, 1)
    assert (points.sum(axis=1) <= 1 + 1e-6).all()


def test_a_mesh_without_area_is_refused() -> None:
    flat = TETRAHEDRON.replace(b"\n0 1 0\n0 0 1\n", b"\n2 0 0\n3 0 0\n")
    with pytest.raises(DataError, match=r"t\.off: none of the faces has an area"):
        sampling.on_surface(off.read(flat, "t.off"), 10, 1)


@pytest.mark.parametrize("number", [1, 7, 999, 1000])
def test_chosen_indices_are_how_the_permutation_begins(number: int) -> None:
    assert sampling.chosen(1000, number, 3).tolist() == counter.permutation(3, 1000)[:number].tolist()


def test_a_centred_cloud_has_mean_0_and_its_shape() -> None:
    moved = transforms.centred(CLOUD)
    assert moved.dtype == np.float32
    assert np.allclose(moved, CLOUD.astype(np.float64) - CLOUD.astype(np.float64).mean(axis=0), atol=1e-5)


def test_scaling_moves_each_point_on_its_ray_by_its_own_factor() -> None:
    moved = transforms.scaled(CLOUD, 0.99, 1.01, of=8).astype(np.float64)
    ratios = moved / CLOUD
    factors = ratios.mean(axis=1)
    assert np.allclose(ratios, factors[:, None], atol=1e-6)
    assert stats.kstest(factors, stats.uniform(0.99, 0.02).cdf).pvalue > 0.01
    assert np.array_equal(moved, transforms.scaled(CLOUD, 0.99, 1.01, of=8))
    assert not np.array_equal(moved, transforms.scaled(CLOUD, 0.99, 1.01, of=9))


def test_the_unit_cube_touches_the_cloud_and_keeps_its_proportions() -> None:
    inside = transforms.in_unit_cube(CLOUD)
    assert np.abs(inside).max() == 1
    assert np.allclose(inside, CLOUD.astype(np.float64) / np.abs(CLOUD).max(), atol=1e-7)
    assert not transforms.in_unit_cube(np.zeros((5, 3), np.float32)).any()


def test_a_grid_takes_the_points_row_by_row() -> None:
    grid = placement.on_grid(CLOUD, (20, 25))
    assert all(
        np.array_equal(grid[row, column], CLOUD[25 * row + column]) for row, column in np.ndindex(20, 25)
    )


@pytest.mark.parametrize("grid", [(44, 45), (0, 5), (-44, -44)])
def test_a_grid_without_a_place_for_every_point_is_refused(grid: tuple[int, int]) -> None:
    with pytest.raises(SpecError, match=r"Clouds\.grid must have a place for each of the 1,936 points"):
        placement.require_places("Clouds", grid, 1936)


def test_the_nearer_of_two_points_hides_the_other() -> None:
    away = np.array([-math.sin(math.radians(35)), math.cos(math.radians(35)), 0]) * math.cos(math.radians(25))
    away[2] = -math.sin(math.radians(25))
    for order in (1, -1):
        picture = drawing.drawn(np.stack([-away / 2, away / 2])[::order], side=64)
        dots = np.unique(picture[(picture != 255).any(axis=2)], axis=0)
        assert dots.tolist() == [drawing.NEAR.tolist()]


def test_a_picture_holds_the_whole_cube_the_right_way_up() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    picture = drawing.drawn(corners, side=96)
    assert (picture.shape, picture.dtype) == ((96, 96, 3), np.uint8)
    assert (picture != 255).any(axis=2).sum() == 8 * 4
    top = drawing.drawn(np.array([[0, 0, 1], [0, 0, 0.9]], np.float32), side=96)
    assert np.argwhere((top != 255).any(axis=2))[:, 0].max() < 48
