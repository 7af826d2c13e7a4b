"""The page in a real browser: what a person sees and does."""
import os
import shutil

import pytest
import yaml

sync_api = pytest.importorskip('playwright.sync_api', reason='needs playwright')

CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('google-chrome')
ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-sync']


@pytest.fixture(scope='module')
def browser():
    if CHROMIUM is None:
        pytest.skip('needs Chromium: "apt-get install chromium", or its path in CHROMIUM')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page; the test fails if it reports an error or goes out."""
    contexts, complaints = [], []

    def start(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.on('console', lambda message: complaints.append(message.text)
                if message.type == 'error' and '400 (Bad Request)' not in message.text else None)
        page.on('request', lambda request: complaints.append(request.url)
                if not request.url.startswith((url, 'data:', 'blob:')) else None)
        page.goto(url)
        page.locator('#picture').wait_for()
        return page
    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def expect(page, selector):
    return sync_api.expect(page.locator(selector))


def test_a_slider_changes_picture_and_table(serve, photos, open_page):
    page = open_page(serve(photos).url)
    expect(page, '#objects tr').to_have_count(2)
    assert page.locator('#options input[type=number]').count() == 8
    expect(page, '#before').to_be_disabled()
    picture = page.locator('#picture').get_attribute('src')
    slider = page.get_by_role('slider', name='grouping.center_threshold')
    slider.fill('900')
    expect(page, '#objects tr').to_have_count(1)
    expect(page, '[id="grouping.center_threshold"]').to_have_value('0.9')
    expect(page, '#kept').to_be_visible()
    changed = page.locator('#picture').get_attribute('src')
    assert changed != picture
    page.locator('#before').hover()
    page.mouse.down()
    expect(page, '#picture').to_have_attribute('src', picture)
    page.mouse.up()
    expect(page, '#picture').to_have_attribute('src', changed)
    page.get_by_role('button', name='grouping.center_threshold back to 0.7').click()
    expect(page, '#objects tr').to_have_count(2)


def test_an_answer_that_comes_after_the_state_hides_no_change(serve, photos, open_page):
    page = open_page(serve(photos).url)
    expect(page, '#objects tr').to_have_count(2)
    held = []
    page.route('**/options', lambda route: held.append((route, route.fetch())))
    page.get_by_role('slider', name='grouping.center_threshold').fill('900')
    expect(page, '#objects tr').to_have_count(1)
    undo = page.locator('[aria-label="grouping.center_threshold back to 0.7"]')
    sync_api.expect(undo).to_be_hidden()
    for route, answer in held:
        route.fulfill(response=answer)
    sync_api.expect(undo).to_be_visible()


def test_a_wrong_value_is_explained_and_the_old_one_stays(serve, photos, open_page):
    page = open_page(serve(photos).url)
    field = page.locator('[id="refinement.iterations"]')
    field.fill('500')
    expect(page, '.error:visible').to_have_text(
        'refinement.iterations: expected a value from 1 to 100, got 500')
    assert field.get_attribute('aria-invalid') == 'true'
    field.blur()
    expect(page, '[id="refinement.iterations"]').to_have_value('5')
    expect(page, '.error:visible').to_have_count(0)


def test_saved_options_are_those_on_the_page(serve, photos, open_page, tmp_path):
    page = open_page(serve(photos).url)
    page.locator('[id="refinement.method"]').select_option('bilateral')
    page.locator('[id="grouping.max_instances"]').fill('1')
    expect(page, '#object-count').to_have_text('1, 1 more dropped')
    with page.expect_download() as download:
        page.locator('#save').click()
    assert download.value.suggested_filename == 'segmenter.yaml'
    download.value.save_as(tmp_path / 'saved.yaml')
    parameters = yaml.safe_load((tmp_path / 'saved.yaml').read_text())['/**']['ros__parameters']
    assert parameters['refinement']['method'] == 'bilateral'
    assert parameters['grouping']['max_instances'] == 1


def test_play_step_and_seek(serve, photos, open_page):
    page = open_page(serve(photos).url)
    expect(page, '#position').to_have_text('1 / 3  ·  a.png')
    page.locator('#forward').click()
    expect(page, '#position').to_have_text('2 / 3  ·  b.png')
    expect(page, '#no-objects').to_be_visible()
    page.locator('body').press('ArrowLeft')
    page.locator('#seek').fill('2')
    expect(page, '#position').to_have_text('3 / 3  ·  c.png')
    page.locator('#play').click()
    expect(page, '#play').to_have_text('Again')


def test_two_browsers_follow_each_other(serve, photos, open_page):
    url = serve(photos).url
    here, there = open_page(url), open_page(url, color_scheme='dark')
    here.locator('[id="grouping.center_threshold"]').fill('0.95')
    expect(there, '[id="grouping.center_threshold"]').to_have_value('0.95')
    expect(there, '#objects tr').to_have_count(1)
    there.locator('#forward').click()
    expect(here, '#position').to_have_text('2 / 3  ·  b.png')


def test_an_image_without_results_is_shown(serve, photos, open_page):
    page = open_page(serve(photos).url)
    overlay = page.locator('#picture').get_attribute('src')
    page.locator('#layer').click()
    expect(page, '#picture').not_to_have_attribute('src', overlay)
    page.locator('#layer').click()
    expect(page, '#picture').to_have_attribute('src', overlay)


def test_names_are_text_not_markup(serve, open_page, tmp_path, frame):
    from instseg_ros.media import write_image
    name = '<img src=x onerror=alert(1)>.png'
    folder = tmp_path / '<b>bold'
    write_image(folder / name, frame)
    (folder / 'z<i>.png').write_text('no image')
    page = open_page(serve(folder).url)
    assert '<b>bold' in page.locator('#about').text_content()
    expect(page, '#position').to_have_text(f'1 / 2  ·  {name}')
    page.locator('#forward').click()
    expect(page, '#problem').to_contain_text('z<i>.png: expected an image')
    expect(page, '#picture').to_be_hidden()


def test_damage_of_the_source_is_listed(serve, photos, open_page):
    from instseg_ros.view.sources import open_source
    source = open_source(str(photos))
    source.remarks = ['<b>2 of 5 messages are missing']
    page = open_page(serve(source).url)
    expect(page, '#remarks li').to_have_text('<b>2 of 5 messages are missing')


def test_a_narrow_window_shows_everything_without_scrolling_sideways(serve, photos, open_page):
    page = open_page(serve(photos).url, viewport={'width': 360, 'height': 700})
    expect(page, '#objects tr').to_have_count(2)
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    page.locator('[id="refinement.color_sigma"]').scroll_into_view_if_needed()
    expect(page, '#picture').to_be_in_viewport()


def test_a_token_in_the_address_is_enough(serve, photos, open_page):
    server = serve(photos, host='0.0.0.0')
    page = open_page(f'http://127.0.0.1:{server.server_address[1]}/{server.address.token}/')
    expect(page, '#objects tr').to_have_count(2)
