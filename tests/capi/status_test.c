/* Status names and texts, and the version. */
#include "capi.h"

static void every_status_has_its_own_name(void **state)
{
    (void)state;
#define CHECK(name, number, text) assert_string_equal(execq_status_name(EXECQ_##name), "EXECQ_" #name);
    EXECQ_STATUS_MAP(CHECK)
#undef CHECK
}

static void every_status_has_its_text(void **state)
{
    (void)state;
#define CHECK(name, number, words) assert_string_equal(execq_status_text(EXECQ_##name), words);
    EXECQ_STATUS_MAP(CHECK)
#undef CHECK
}

static void a_text_has_no_full_stop(void **state)
{
    (void)state;
    for (execq_status status = EXECQ_STATUS_END_; status <= 1; status++) {
        const char *text = execq_status_text(status);
        assert_true(strlen(text) > 0);
        assert_int_not_equal(text[strlen(text) - 1], '.');
    }
}

static void numbers_are_for_ever(void **state)
{
    (void)state;
    static const struct {
        execq_status status;
        int number;
    } fixed[] = {
        {EXECQ_OK, 0},        {EXECQ_EINVAL, -1},   {EXECQ_ENOMEM, -2},     {EXECQ_EAGAIN, -3},
        {EXECQ_EMFILE, -4},   {EXECQ_ENOTSUP, -5},  {EXECQ_ECLOSED, -6},    {EXECQ_ECANCELED, -7},
        {EXECQ_EFAILED, -8},  {EXECQ_EPENDING, -9}, {EXECQ_ETIMEDOUT, -10}, {EXECQ_EALREADY, -11},
        {EXECQ_EBUSY, -12},   {EXECQ_EBROKEN, -13}, {EXECQ_EDEADLK, -14},   {EXECQ_EEXCEPTION, -15},
        {EXECQ_EEXITED, -16}, {EXECQ_EFULL, -17},   {EXECQ_EFORKED, -18},   {EXECQ_EUNWRITABLE, -19},
    };
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        assert_int_equal(fixed[i].status, fixed[i].number);
    }
    assert_int_equal(EXECQ_STATUS_END_, -(int)COUNT_OF(fixed));
}

static void a_number_that_is_no_status_is_unknown(void **state)
{
    (void)state;
    static const execq_status strangers[] = {EXECQ_STATUS_END_, EXECQ_STATUS_END_ - 1, 1, 42, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        assert_string_equal(execq_status_name(strangers[i]), "EXECQ_UNKNOWN");
        assert_string_equal(execq_status_text(strangers[i]), "unknown status");
    }
}

static void names_and_texts_are_static(void **state)
{
    (void)state;
    assert_ptr_equal(execq_status_name(EXECQ_EINVAL), execq_status_name(EXECQ_EINVAL));
    assert_ptr_equal(execq_status_text(EXECQ_EINVAL), execq_status_text(EXECQ_EINVAL));
}

static void the_loaded_version_is_the_one_compiled_against(void **state)
{
    (void)state;
    assert_int_equal(execq_version(), EXECQ_VERSION);
}

static void the_version_string_spells_the_number(void **state)
{
    (void)state;
    char spelled[32];
    const uint32_t version = execq_version();
    snprintf(spelled, sizeof spelled, "%u.%u.%u", (unsigned)(version >> 16), (unsigned)((version >> 8) & 255),
             (unsigned)(version & 255));
    assert_string_equal(execq_version_string(), spelled);
    assert_ptr_equal(execq_version_string(), execq_version_string());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_own_name),
        cmocka_unit_test(every_status_has_its_text),
        cmocka_unit_test(a_text_has_no_full_stop),
        cmocka_unit_test(numbers_are_for_ever),
        cmocka_unit_test(a_number_that_is_no_status_is_unknown),
        cmocka_unit_test(names_and_texts_are_static),
        cmocka_unit_test(the_loaded_version_is_the_one_compiled_against),
        cmocka_unit_test(the_version_string_spells_the_number),
    };
    return cmocka_run_group_tests_name("capi.status", tests, NULL, NULL);
}
