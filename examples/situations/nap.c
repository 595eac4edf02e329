#include "say.h"

#include "nap.h"

struct nap {
    uv_timer_t timer;
    execq_promise *promise;
};

/* Nothing is left on the loop now: only then is the promise completed. */
static void nap_closed(uv_handle_t *timer)
{
    struct nap *nap = timer->data;

    must("execq_promise_resolve", execq_promise_resolve(nap->promise, "rested"));
    execq_promise_release(nap->promise);
    free(nap);
}

static void nap_due(uv_timer_t *timer)
{
    say("its loop works: the timer is due");
    uv_close((uv_handle_t *)timer, nap_closed);
}

void nap(execq_promise *promise, struct uv_loop_s *loop, void *milliseconds)
{
    struct nap *nap = malloc(sizeof *nap);

    if (!nap) {
        execq_promise_reject(promise, EXECQ_ENOMEM, NULL);
        execq_promise_release(promise);
        return;
    }
    nap->promise = promise;
    nap->timer.data = nap;
    must_uv("uv_timer_init", uv_timer_init(loop, &nap->timer));
    must_uv("uv_timer_start", uv_timer_start(&nap->timer, nap_due, *(const uint64_t *)milliseconds, 0));
}
