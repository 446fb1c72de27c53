# Completion of chatd for fish. In ~/.config/fish/config.fish: chatd completion fish | source
function __chatd_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program EXECUTABLE
    command -q -- $words[1]; and set program $words[1]
    set -e words[1]
    for line in ($program complete -- $words "$current" 2>/dev/null)
        if test "$line" = :files
            set -l flag (string match -r -- '^--[^=]*=' "$current")
            for path in (__fish_complete_path (string replace -- "$flag" '' "$current"))
                echo -- "$flag$path"
            end
        else
            echo -- $line
        end
    end
end
complete -c chatd -f -a '(__chatd_complete)'
